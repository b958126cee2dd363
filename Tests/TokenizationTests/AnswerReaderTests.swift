import Core
import Testing

@testable import Tokenization

@Suite("answers")
struct AnswerReaderTests {
    private static let tools = ["get_weather", "get", "f"].map { name in
        JSONValue.object([
            .init("type", .string("function")), .init("function", .object([.init("name", .string(name))])),
        ])
    }
    /// Stands for the token `<|assistant|>` in the texts below.
    private static let turn: Character = "¶"

    /// Reads a text whose pieces end where `cut` says, and joins what belongs together.
    private func read(_ text: String, _ reader: any AnswerReader, cut: (Int) -> Bool) -> [AnswerPart] {
        var reader = reader
        var parts: [AnswerPart] = []
        var piece = ""
        for (index, character) in text.enumerated() {
            if character == Self.turn {
                parts += reader.next(piece) + reader.turn()
                piece = ""
            } else {
                piece.append(character)
                guard cut(index) else { continue }
                parts += reader.next(piece)
                piece = ""
            }
        }
        parts += reader.next(piece) + reader.finish()
        return parts.reduce(into: []) { joined, part in
            switch (joined.last, part) {
            case (.text(let a), .text(let b)): joined[joined.count - 1] = .text(a + b)
            case (.arguments(let a), .arguments(let b)): joined[joined.count - 1] = .arguments(a + b)
            default: joined.append(part)
            }
        }
    }

    /// Expects the same parts whole, by characters, and in pieces of other lengths.
    private func expect(
        _ text: String, _ template: ChatTemplate, _ wanted: [AnswerPart], tools: [JSONValue] = Self.tools,
        opening: AssistantOpening = .turn
    ) {
        let reader = template.reader(tools: tools, opening: opening)
        for step in [1, 2, 3, 5, 1000] {
            let parts = read(text, reader) { $0 % step == step - 1 }
            #expect(parts == wanted, "\(template), pieces of \(step): \(text)")
        }
    }

    @Test("text begins behind the empty line of metadata", arguments: [ChatTemplate.glm4Chat, .glm40414])
    func text(template: ChatTemplate) {
        expect("\nIt is warm.\n\nReally. ", template, [.text("It is warm.\n\nReally. ")])
        expect("\n\nSo.", template, [.text("\nSo.")])
        expect("no newline first", template, [.text("no newline first")])
        expect("", template, [])
        expect("\nhi\nthere\n", template, [.text("hi\nthere\n")], tools: [])
        expect("hi\nthere", template, [.text("hi\nthere")], tools: [])
    }

    @Test(
        "a line that is a tool's name with an object behind it is a call",
        arguments: [ChatTemplate.glm4Chat, .glm40414])
    func calls(template: ChatTemplate) {
        let call: [AnswerPart] = [.call("get_weather"), .arguments(#"{"city": "北京", "note": "a } b \" {"}"#)]
        expect("get_weather\n{\"city\": \"北京\", \"note\": \"a } b \\\" {\"}", template, call)
        expect(" get_weather \n {\"city\": \"北京\", \"note\": \"a } b \\\" {\"}\n", template, call)
        expect(
            "f\n{}¶get\n{\"a\": {}}", template, [.call("f"), .arguments("{}"), .call("get"), .arguments("{\"a\": {}}")])
        expect("\nWait.¶f\n{}", template, [.text("Wait."), .call("f"), .arguments("{}")])
    }

    @Test("a name alone, another name, or no object is text", arguments: [ChatTemplate.glm4Chat, .glm40414])
    func noCalls(template: ChatTemplate) {
        expect("f", template, [.text("f")])
        expect("f\n", template, [.text("f\n")])
        expect("f\nas in fox", template, [.text("f\nas in fox")])
        expect("get_weath\n{}", template, [.text("get_weath\n{}")])
        expect("get_weather\n{}", template, [.text("get_weather\n{}")], tools: [])
    }

    @Test("0414 also calls below a text and several times in a turn; GLM-4-9B-Chat takes all that follows as arguments")
    func layouts() {
        let below = "\nLet me see.\n\nf\n{}\nget\n{\"a\": 1}\n"
        expect(
            below, .glm40414,
            [.text("Let me see."), .call("f"), .arguments("{}"), .call("get"), .arguments("{\"a\": 1}")])
        expect(below, .glm4Chat, [.text("Let me see.\n\nf\n{}\nget\n{\"a\": 1}\n")])
        expect("f\n{}\nThat was it.", .glm40414, [.call("f"), .arguments("{}"), .text("That was it.")])
        expect("f\n{}\nThat was it.", .glm4Chat, [.call("f"), .arguments("{}\nThat was it.")])
    }

    @Test("a call that the prompt began has only arguments", arguments: [ChatTemplate.glm4Chat, .glm40414])
    func forced(template: ChatTemplate) {
        expect("{\"a\": 1}", template, [.call("f"), .arguments("{\"a\": 1}")], opening: .call("f"))
        expect("", template, [.call("f")], opening: .call("f"))
        expect(
            "{}¶get\n{}", template, [.call("f"), .arguments("{}"), .call("get"), .arguments("{}")], opening: .call("f"))
        expect("and so on\nf\n", template, [.text("and so on\nf\n")], opening: .text("It began "))
    }

    @Test("the model's own tools are sent any text", arguments: [ChatTemplate.glm4Chat, .glm40414])
    func builtIns(template: ChatTemplate) {
        let python = [JSONValue.object([.init("type", .string("python"))])]
        expect("python\nprint({1})\n", template, [.call("python"), .arguments("print({1})")], tools: python)
    }

    @Test("templates without calls pass everything on", arguments: [ChatTemplate.chatml, .plain])
    func plain(template: ChatTemplate) {
        expect("\nf\n{}", template, [.text("\nf\n{}")])
    }

    @Test(
        "a call that goes back into the prompt is what the model wrote", arguments: [ChatTemplate.glm4Chat, .glm40414])
    func roundTrip(template: ChatTemplate) throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        let user = ChatMessage(role: "user", content: "?")
        let said = "get_weather\n{\"city\": \"北京\"}"
        expect(said, template, [.call("get_weather"), .arguments("{\"city\": \"北京\"}")])
        let call = ChatMessage.ToolCall(id: "1", name: "get_weather", arguments: "{\"city\": \"北京\"}")
        let back = try tokenizer.renderChat(
            [
                user, ChatMessage(role: "assistant", content: nil, toolCalls: [call]),
                ChatMessage(role: "tool", content: "22"),
            ],
            template: template)
        #expect(back == "[gMASK]<sop><|user|>\n?<|assistant|>\(said)<|observation|>\n22<|assistant|>")
        let begun = try tokenizer.renderChat([user], template: template, opening: .call("get_weather"))
        #expect(begun == "[gMASK]<sop><|user|>\n?<|assistant|>get_weather\n")
        let continued = try tokenizer.renderChat([user], template: template, opening: .text("It"))
        #expect(continued == "[gMASK]<sop><|user|>\n?<|assistant|>\nIt")
    }
}
