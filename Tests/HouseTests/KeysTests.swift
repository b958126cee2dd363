import Testing

@Suite("Configuration keys")
struct KeysTests {
    @Test("every key that a file may have is read by a command and is in the operations guide")
    func everyKeyIsRead() throws {
        let files = try House.files(of: "glm")
        let settings = try #require(files.first { $0.name.hasSuffix("Settings.swift") })
        let table = try #require(settings.text.firstMatch(of: /static let keys: Set<String> = \[([^\]]*)\]/))
        let keys = table.1.matches(of: /"([a-z-]+)"/).map { String($0.1) }
        #expect(!keys.isEmpty)
        let readers = files.map(\.text).joined(separator: "\n")
        let guide = try House.lines(of: "\(House.top)/docs/operations.md").joined(separator: "\n")
        for key in keys {
            let calls = ["string(", "int(", "double(", "bool(", "flag: "]
            #expect(calls.contains { readers.contains("\($0)\"\(key)\"") }, "no command reads \(key)")
            #expect(guide.contains("`\(key)`"), "docs/operations.md does not explain \(key)")
        }
    }
}
