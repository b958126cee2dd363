import Checkpoint
import Core
import FoundationEssentials
import GLM
import Testing

@Suite("Damaged checkpoints")
struct DamagedTests {
    private struct Expected: Decodable {
        var cases: [Case]
    }

    /// One damaged folder or file.
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        var path: String
        var why: String
        var a_good_message_contains: String
        var testDescription: String { path }
    }

    private static func cases() throws -> [Case] {
        let bytes = try Data(contentsOf: URL(filePath: Goldens.folder + "damaged/expected.json"))
        return try JSONDecoder().decode(Expected.self, from: bytes).cases
    }

    @Test("every damaged file is refused in one clear line that names the culprit")
    func damagedFilesAreRefused() throws {
        let cases = try Self.cases()
        #expect(cases.count == 26)
        for damaged in cases {
            do {
                _ = try ModelDescription(try Checkpoint.open(Goldens.folder + "damaged/" + damaged.path))
                Issue.record("\(damaged.path) (\(damaged.why)) was accepted")
            } catch let problem as Problem {
                #expect(
                    problem.message.contains(damaged.a_good_message_contains), "\(damaged.path): \(problem.message)")
                #expect(!problem.message.contains("\n"))
            }
        }
    }

    @Test("the undamaged twin loads")
    func undamagedLoads() throws {
        let description = try ModelDescription(try Checkpoint.open(Goldens.folder + "damaged/undamaged"))
        #expect(description.configuration.layers > 0)
    }
}
