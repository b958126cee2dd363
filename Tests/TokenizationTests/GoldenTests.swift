import Core
import FoundationEssentials
import Testing
import Tokenization

/// The golden files of this repository.
enum Golden {
    /// The path of `name` in `Tests/Golden`.
    static func path(_ name: String, file: String = #filePath) -> String {
        URL(filePath: file).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Golden").appending(path: name).path
    }

    /// A golden file as JSON.
    static func json(_ name: String) throws -> JSONValue {
        let contents = try #require(FileManager.default.contents(atPath: path(name)), "\(name) is missing")
        return try JSONValue(parsing: [UInt8](contents), source: name)
    }

    /// A list of token ids.
    static func ids(_ json: JSONValue?) throws -> [TokenID] {
        try #require(json?.elements).map { TokenID(try #require($0.integer)) }
    }
}

@Suite struct GoldenTests {
    @Test("every golden text becomes the ids of tiktoken and tokenizers, trusted or not, and comes back")
    func encodes() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        for row in try #require(Golden.json("tokenizer/vectors.json")["encode"]?.elements) {
            let text = try #require(row["text"]?.string)
            let ids = try Golden.ids(row["ids"])
            #expect(tokenizer.encode(text) == ids, "\(text)")
            #expect(tokenizer.decode(ids).utf8.elementsEqual(text.utf8), "\(text)")
            if row["ids_trusted"] != nil {
                #expect(tokenizer.encode(text, trusted: true) == (try Golden.ids(row["ids_trusted"])), "\(text)")
            }
        }
    }

    @Test("streaming gives the golden deltas and never half a character")
    func streams() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        for row in try #require(Golden.json("tokenizer/vectors.json")["stream"]?.elements) {
            var detokenizer = Detokenizer(tokenizer)
            let deltas = try Golden.ids(row["ids"]).map { detokenizer.next($0) }
            #expect(deltas == row["deltas"]?.elements?.compactMap(\.string))
            #expect(detokenizer.finish() == "")
        }
    }

    @Test("bytes that are no UTF-8 decode as Python replaces them")
    func decodesInvalid() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        for row in try #require(Golden.json("tokenizer/vectors.json")["decode_invalid"]?.elements) {
            #expect(tokenizer.decode(try Golden.ids(row["ids"])) == row["text"]?.string)
        }
    }

    @Test("every golden conversation renders to its text and ids")
    func chats() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        for row in try #require(Golden.json("chat/conversations.json")["cases"]?.elements) {
            let template = try ChatTemplate(name: try #require(row["template"]?.string))
            let messages = try #require(row["messages"]?.elements).map { try ChatMessage(json: $0, place: "m") }
            let tools = row["tools"]?.elements ?? []
            let rendered = try tokenizer.renderChat(messages, tools: tools, template: template)
            #expect(rendered.utf8.elementsEqual(try #require(row["rendered"]?.string).utf8), "\(template) \(rendered)")
            if row["ids"] != nil {
                let ids = try tokenizer.encodeChat(messages, tools: tools, template: template)
                #expect(ids == (try Golden.ids(row["ids"])), "\(template) \(rendered)")
            }
        }
    }
}
