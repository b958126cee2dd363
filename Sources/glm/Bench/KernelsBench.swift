import ArgumentParser
import Core
import FoundationEssentials
import Glibc
import Kernels
import Threads

/// `glm bench kernels`: what the hot kernels do on one core, with each instruction set, beside that core's peaks.
struct KernelsBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Measure attention and products on one core, for each instruction set.")

    @Option(help: "Measure only kernels whose name holds this text.")
    var only = ""

    @Option(help: "Times each is measured, in turn with the others; the median counts.")
    var repeats = 9

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        guard repeats > 0 else { throw Problem.invalid("--repeats \(repeats): expected 1 or more") }
        let cases = KernelCase.all().filter { only.isEmpty || $0.name.contains(only) }
        guard !cases.isEmpty else {
            throw Problem.invalid("--only \(only) names no kernel; leave it out to see their names")
        }
        guard Topology.memoryAvailable() > 1 << 30 else {
            throw Problem.unavailable("measuring kernels needs 1 GiB of free memory; stop something")
        }
        let team = Team(size: 1, name: "kernels")
        let control = team.prepareThread()
        defer { Team.restoreThread(control) }
        let rows = cases.map { measure($0) }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            print(String(decoding: try encoder.encode(Report(kernels: rows)), as: UTF8.self))
            return
        }
        let header = ["kernel", "unit"] + InstructionSet.available.flatMap { [$0.rawValue, "peak", "%"] }
        Terminal.write(
            Terminal.table(
                header,
                rows.map { row in
                    [row.kernel, row.unit]
                        + row.rates.flatMap { rate in
                            [
                                Terminal.fixed(rate.rate, places: 1), Terminal.fixed(rate.peak, places: 1),
                                Terminal.fixed(100 * rate.rate / rate.peak, places: 0),
                            ]
                        }
                }, right: Set(2..<header.count)))
    }

    /// Rates and peaks by turns, so that a neighbour's work or a change of clock meets all of them.
    private func measure(_ kernel: KernelCase) -> Row {
        let work = kernel.prepare()
        let sets = InstructionSet.available
        var rates = sets.map { _ in [Double]() }
        var peaks = rates
        for _ in 0...repeats {
            for (i, instructions) in sets.enumerated() {
                rates[i].append(Self.rate { work(instructions) })
                peaks[i].append(Self.rate { kernel.peak(instructions) })
            }
        }
        // The first round has warmed the caches.
        func median(_ x: [Double]) -> Double { x.dropFirst().sorted()[(x.count - 1) / 2] }
        return Row(
            kernel: kernel.name, unit: kernel.unit,
            rates: sets.indices.map {
                Rate(instructions: sets[$0].rawValue, rate: median(rates[$0]), peak: median(peaks[$0]))
            })
    }

    /// Billions of operations a second of this thread's own time, over at least 20 ms: what others do on the machine does not count.
    private static func rate(_ work: () -> Int) -> Double {
        var operations = 0
        let start = threadSeconds()
        var elapsed = 0.0
        repeat {
            operations += work()
            elapsed = threadSeconds() - start
        } while elapsed < 0.02
        return Double(operations) / elapsed / 1e9
    }

    private static func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    private struct Report: Encodable {
        var kernels: [Row]
    }

    private struct Row: Encodable {
        var kernel: String
        var unit: String
        var rates: [Rate]
    }

    private struct Rate: Encodable {
        var instructions: String
        var rate: Double
        var peak: Double
    }
}
