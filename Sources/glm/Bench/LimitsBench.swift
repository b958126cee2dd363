import ArgumentParser
import Core
import FoundationEssentials
import Kernels
import Threads

/// `glm bench limits`: the peaks that every other speed is a share of.
struct LimitsBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits", abstract: "Measure this machine: multiply-adds, byte products, memory reads.")

    @Option(help: "Measure one thread, two, and so on up to so many (default: all processors).")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let most = threads ?? Topology.processors.count
        guard 1...256 ~= most else {
            throw Problem.invalid("--threads \(most): expected 1 to 256")
        }
        let memory = 512 << 20
        guard Topology.memoryAvailable() > 2 * memory else {
            throw Problem.unavailable(
                "measuring memory needs 512 MiB, and less than twice that is free; stop something")
        }
        let region = Region(byteCount: memory)
        let rates = (1...most).map { measure(threads: $0, region) }
        guard let all = rates.last else { return }
        if json {
            let report = Report(
                threads: most, fmaGflops: all.fmaGflops, int8Gops: all.int8Gops, int8WidenedGops: all.int8WidenedGops,
                wideFmaGflops: all.wideFmaGflops, vnniGops: all.vnniGops, readGbps: all.readGbps,
                perThreadCount: rates)
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.sortedKeys]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            let wide = Self.isWide ? ["512-bit FMA GFLOP/s", "VNNI GOP/s"] : []
            let header = ["threads", "FMA GFLOP/s", "int8 GOP/s", "int8 widened GOP/s"] + wide + ["read GB/s"]
            Terminal.write(
                Terminal.table(
                    header,
                    rates.map { r in
                        let numbers = [
                            r.fmaGflops, r.int8Gops, r.int8WidenedGops, r.wideFmaGflops, r.vnniGops, r.readGbps,
                        ]
                        return ["\(r.threads)"] + numbers.compactMap { $0 }.map { Terminal.fixed($0, places: 1) }
                    }, right: Set(header.indices)))
        }
    }

    /// Whether there are 512-bit registers to measure.
    private static let isWide = InstructionSet.available.contains(.v4)

    /// What so many threads do together in a second; the best of several short runs, because machines are shared.
    private func measure(threads: Int, _ region: Region) -> Rates {
        // Left alone, the system may keep two spinning threads on one processor for the whole measurement.
        let processors = Topology.processors
        let team = Team(
            size: threads, name: "limits", pin: (0..<threads).map { processors[$0 % processors.count] })
        team.prepareThread()
        let rounds = 50_000
        func best(_ body: (_ rank: Int, _ run: Int) -> Int) -> Double {
            var rate = 0.0
            for run in 0..<64 {
                let work = Counts(threads)
                let time = ContinuousClock().measure { team.run { rank in work.set(rank, body(rank, run)) } }
                rate = max(rate, Double(work.total) / (time / .seconds(1)) / 1e9)
            }
            return rate
        }
        return Rates(
            threads: threads,
            fmaGflops: best { rank, _ in Limits.multiplyAdd(rounds: rounds, seed: Float(rank)).operations },
            int8Gops: best { rank, _ in Limits.byteProducts(rounds: rounds, seed: Int64(rank) + 0x0102_0304).operations
            },
            int8WidenedGops: best { rank, _ in
                Limits.widenedByteProducts(rounds: rounds, seed: Int64(rank) + 0x0102_0304).operations
            },
            wideFmaGflops: Self.isWide
                ? best { rank, _ in
                    Limits.multiplyAdd(rounds: rounds, seed: Float(rank), instructions: .v4).operations
                } : nil,
            vnniGops: Self.isWide
                ? best { rank, _ in
                    Limits.byteProducts(rounds: rounds, seed: Int64(rank) + 0x0102_0304, instructions: .v4).operations
                } : nil,
            readGbps: best { rank, run in region.read(part: run, share: rank, of: threads) })
    }

    /// Work that each thread reports; every rank writes its own place.
    private final class Counts: @unchecked Sendable {
        private let counts: UnsafeMutableBufferPointer<Int>

        init(_ threads: Int) {
            counts = .allocate(capacity: threads)
            counts.initialize(repeating: 0)
        }

        deinit { counts.deallocate() }

        func set(_ rank: Int, _ count: Int) { counts[rank] = count }
        var total: Int { counts.reduce(0, +) }
    }

    /// Memory larger than any cache, written once so that it is real.
    private final class Region: @unchecked Sendable {  // only read after init
        private let bytes: UnsafeMutableRawBufferPointer

        init(byteCount: Int) {
            bytes = .allocate(byteCount: byteCount, alignment: 4096)
            bytes.initializeMemory(as: UInt8.self, repeating: 1)
        }

        deinit { bytes.deallocate() }

        /// Reads one of `threads` equal shares of an eighth of the memory; says how many bytes that was.
        ///
        /// Successive runs read successive eighths, so nothing is left in a cache when its turn comes again.
        func read(part: Int, share: Int, of threads: Int) -> Int {
            let eighth = bytes.count / 8
            let count = eighth / threads / 4096 * 4096
            guard let base = bytes.baseAddress else { return 0 }
            // What was written cancels out, as only a reader can know: the reads cannot be left out.
            return Limits.read(base + part % 8 * eighth + share * count, byteCount: count) == 0 ? count : 0
        }
    }

    /// Rates of one number of threads.
    private struct Rates: Encodable {
        var threads: Int
        var fmaGflops: Double
        var int8Gops: Double
        var int8WidenedGops: Double
        var wideFmaGflops: Double?
        var vnniGops: Double?
        var readGbps: Double
    }

    /// What `--json` prints: rates of all threads, then each number of threads.
    private struct Report: Encodable {
        var threads: Int
        var fmaGflops: Double
        var int8Gops: Double
        var int8WidenedGops: Double
        var wideFmaGflops: Double?
        var vnniGops: Double?
        var readGbps: Double
        var perThreadCount: [Rates]
    }
}
