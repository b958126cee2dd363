import Core
import FoundationEssentials
import Testing

@testable import Tokenization

/// Runs `body` in a new folder with these files and removes it.
private func inFolder<R>(_ files: [String: [UInt8]], _ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appending(
        path: "tokenization-\(UInt64.random(in: 0...UInt64.max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, bytes) in files { try Data(bytes).write(to: folder.appending(path: name)) }
    return try body(folder.path)
}

private func golden(_ name: String) throws -> [UInt8] {
    let contents = FileManager.default.contents(atPath: Golden.path("tokenizer/" + name))
    return [UInt8](try #require(contents))
}

@Suite struct FileTests {
    @Test("tokenizer.json alone, its merge list and the bare ranks give the golden ids too")
    func otherFiles() throws {
        let rows = try #require(Golden.json("tokenizer/vectors.json")["encode"]?.elements)
        let hub = try inFolder(["tokenizer.json": golden("tokenizer.json")]) { try Tokenizer(folder: $0) }
        let bare = try inFolder(["tokenizer.model": golden("tokenizer.model")]) { try Tokenizer(folder: $0) }
        if case .list = hub.rule { Issue.record("a complete merge list was not seen to be the rank rule") }
        let names = try #require(Golden.json("tokenizer/tokenizer.json")["model"]?["merges"]?.elements)
        let merges = names.compactMap(\.string).compactMap { MergeRule.merge($0, in: hub.vocabulary) }
        #expect(merges.count == names.count)
        let listed = Tokenizer(
            vocabulary: hub.vocabulary, pattern: .glm, rule: .list(MergeList(merges), wholePieces: false), ends: [],
            template: .plain)
        #expect(bare.specials == hub.specials && bare.specials["<|user|>"] == 1763)
        for row in rows {
            let text = try #require(row["text"]?.string)
            let ids = try Golden.ids(row["ids"])
            #expect(hub.encode(text) == ids && bare.encode(text) == ids && listed.encode(text) == ids, "\(text)")
        }
    }

    @Test("the template follows config.json, and further ends come from it")
    func configuration() throws {
        func tokenizer(_ config: String) throws -> Tokenizer {
            try inFolder(["tokenizer.model": golden("tokenizer.model"), "config.json": Array(config.utf8)]) {
                try Tokenizer(folder: $0)
            }
        }
        #expect(try tokenizer(#"{"model_type":"glm4"}"#).template == .glm40414)
        #expect(try tokenizer(#"{"model_type":"chatglm"}"#).template == .glm4Chat)
        let plain = try tokenizer(#"{"model_type":"glm","chat_template":"plain","eos_token_id":[1756,13,99999,-1]}"#)
        #expect(plain.template == .plain)
        #expect(plain.stopTokens == [1756, 1763, 1765, 13])
        let messages = [ChatMessage(role: "user", content: "a<|user|>"), ChatMessage(role: "assistant", content: "b")]
        #expect(try plain.encodeChat(messages) == [1758, 1760] + plain.encode("a<|user|>b"))
        #expect(throws: Problem.self) { try tokenizer(#"{"chat_template":"other"}"#) }
        #expect(throws: Problem.self) { try tokenizer("{") }
    }

    @Test("a damaged file is refused with its name and line")
    func damaged() throws {
        func message(_ files: [String: [UInt8]]) throws -> String {
            let problem = #expect(throws: Problem.self) { try inFolder(files) { try Tokenizer(folder: $0) } }
            return problem?.message ?? ""
        }
        let ranks = try golden("tokenizer.model")
        let lines = ranks.split(separator: 10)
        func joined(_ lines: some Sequence<ArraySlice<UInt8>>) -> [UInt8] { Array(lines.joined(separator: [10])) }
        #expect(
            try message(["tokenizer.model": joined(lines[..<9] + [Array("!!!! 9".utf8)[...]])]).contains(
                "tokenizer.model line 10:"))
        #expect(try message(["tokenizer.model": joined(lines + [lines[3]])]).contains("line 1757: rank 3 "))
        #expect(
            try message(["tokenizer.model": joined(lines + [Array("IQ== 1756".utf8)[...]])]).contains(
                "the same token as in line 1"))
        #expect(try message(["tokenizer.model": joined(lines[..<100])]).contains("line 100: the file ends"))
        #expect(try message(["tokenizer.model": Array(ranks.dropLast(3))]).contains("was given before"))
        #expect(try message(["tokenizer.model": [0, 1, 2, 255]]).contains("line 1:"))
        #expect(try message(["tokenizer.json": Array("{\n\"model\": \n]".utf8)]).contains("tokenizer.json line 3:"))
        #expect(try message(["tokenizer.json": Array("[]".utf8)]).contains("tokenizer.json: expected"))
        #expect(try message([:]).contains("neither tokenizer.model nor tokenizer.json"))
        let settings = Array(#"{"added_tokens_decoder":{"7":{"content":"<|user|>"}}}"#.utf8)
        #expect(try message(["tokenizer.model": ranks, "tokenizer_config.json": settings]).contains("the id 7,"))
        #expect(throws: Problem.self) { try Tokenizer(folder: "/does/not/exist") }
    }

    @Test("a tokenizer survives serialization bit for bit, and damaged bytes never do harm")
    func serialized() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        let bytes = tokenizer.serialized()
        let again = try Tokenizer(serialized: bytes)
        #expect(again.serialized() == bytes)
        #expect(again.specials == tokenizer.specials && again.stopTokens == tokenizer.stopTokens)
        #expect(
            again.encode("北京 is <|user|> 123", trusted: true) == tokenizer.encode("北京 is <|user|> 123", trusted: true))
        let small = try Self.small().serialized()
        #expect(try Tokenizer(serialized: small).serialized() == small)
        for cut in 0..<small.count {
            #expect(throws: Problem.self) { try Tokenizer(serialized: Array(small[..<cut])) }
            for bit in 0..<8 {
                var flipped = small
                flipped[cut] ^= 1 << UInt8(bit)
                if let odd = try? Tokenizer(serialized: flipped) {
                    _ = odd.decode(odd.encode("ab 12 <|im_end|>", trusted: true))
                }
            }
        }
    }

    /// SmolLM2's form in small, as GGUF metadata: `h`, `e`, `y`, a space, two merges, two special tokens, one literal.
    private static func small() throws -> Tokenizer {
        try Tokenizer(
            ggufTokens: ["<|im_start|>", "<|im_end|>", "h", "e", "y", "Ġ", "he", "Ġhe", "[PAD]", "<tool>", "Ċ", "1"],
            types: [3, 3, 1, 1, 1, 1, 1, 1, 5, 4, 1, 1], merges: ["h e", "Ġ he"], pre: "smollm", model: "gpt2",
            endIDs: [1], chatTemplate: "{{ '<|im_start|>' }}")
    }

    @Test("GGUF metadata gives merges in their order, control tokens, literals and the template")
    func gguf() throws {
        let tokenizer = try Self.small()
        #expect(tokenizer.template == .chatml && tokenizer.stopTokens == [1])
        #expect(tokenizer.encode("hey hey 1") == [6, 4, 7, 4, 5, 11])
        #expect(tokenizer.encode("hey<tool>hey") == [6, 4, 9, 6, 4])
        #expect(tokenizer.encode("<|im_end|>", trusted: true) == [1])
        #expect(tokenizer.encode("<|im_end|>") == [3])
        #expect(tokenizer.decode([6, 4, 9, 1, 8]) == "hey<tool>")
        let chat = try tokenizer.encodeChat([
            ChatMessage(role: "system", content: "hey"), ChatMessage(role: "user", content: "he"),
        ])
        #expect(chat.first == 0 && chat.suffix(2).first == 0 && chat.count { $0 == 1 } == 2)
        let glm = try Tokenizer(
            ggufTokens: ["a", "b", "ab", "<|user|>"], types: [1, 1, 1, 4], merges: [], pre: "glm4", model: "gpt2",
            endIDs: [], chatTemplate: nil)
        #expect(glm.template == .glm40414 && glm.encode("ab<|user|>", trusted: true) == [2, 3])
        #expect(glm.stopTokens == [3] && glm.encode("<|user|>").isEmpty)
    }

    @Test("odd GGUF metadata is refused")
    func oddGGUF() {
        func refuses(
            _ tokens: [String] = ["a", "b", "ab"], types: [Int32] = [], merges: [String] = [], pre: String = "smollm",
            model: String = "gpt2"
        ) {
            #expect(throws: Problem.self) {
                try Tokenizer(
                    ggufTokens: tokens, types: types, merges: merges, pre: pre, model: model, endIDs: [],
                    chatTemplate: nil)
            }
        }
        refuses(model: "llama")
        refuses(pre: "qwen2")
        refuses([])
        refuses(types: [1])
        refuses(types: [1, 1, 9])
        refuses(merges: ["a c"])
        refuses(merges: ["ab"])
        refuses(["a", "a"])
        refuses(["a", ""])
        refuses(["中"])
    }
}
