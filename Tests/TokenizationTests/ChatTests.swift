import Core
import Testing

@testable import Tokenization

@Suite struct ChatTests {
    @Test("the fixed tool texts are the published ones, byte for byte")
    func toolTexts() {
        func digest(_ text: String) -> UInt64 {
            text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        }
        #expect(ToolTexts.introduction.utf8.count == 195)
        #expect(ToolTexts.callNote.utf8.count == 72)
        #expect(digest(ToolTexts.introduction) == 0xF455_0EA0_72C8_B94E)
        #expect(digest(ToolTexts.callNote) == 0x5AD4_32E5_7E86_C8F9)
        #expect(digest(ToolTexts.builtIn["python"] ?? "") == 0xA1BD_9334_D94B_217F)
        #expect(digest(ToolTexts.builtIn["simple_browser"] ?? "") == 0x2898_AAEB_DFB9_950F)
        #expect(digest(ToolTexts.builtIn["cogview"] ?? "") == 0xD9DA_E347_4F38_079A)
    }

    private func tokenizer() throws -> Tokenizer { try Tokenizer(folder: Golden.path("tokenizer")) }

    @Test("an assistant's text comes before its calls, and a tool's answer is an observation")
    func calls() throws {
        let messages = [
            ChatMessage(
                role: "assistant", content: "wait",
                toolCalls: [ChatMessage.ToolCall(id: "1", name: "f", arguments: "{}")]),
            ChatMessage(role: "tool", content: "r"),
        ]
        #expect(
            try tokenizer().renderChat(messages, template: .glm40414)
                == "[gMASK]<sop><|assistant|>\nwait<|assistant|>f\n{}<|observation|>\nr<|assistant|>")
    }

    @Test("content may be a list of text parts and arguments an object")
    func reads() throws {
        let json = try JSONValue(
            parsing: #"""
                {"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
                {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":[]}}}]}],"tools":null}
                """#, source: "t")
        let conversation = try Conversation(json)
        #expect(conversation.messages[0].content == "ab")
        #expect(conversation.messages[1].toolCalls.first?.arguments == #"{"b": 1, "a": []}"#)
    }

    @Test(
        "messages of a wrong shape are refused with their place",
        arguments: [
            (#"{}"#, "messages"), (#"[1]"#, "messages[0]"), (#"[{"content":"a"}]"#, "messages[0].role"),
            (#"[{"role":"user","content":1}]"#, "messages[0].content"),
            (#"[{"role":"user"}]"#, "messages[0].content"),
            (#"[{"role":"user","content":[{"type":"image_url"}]}]"#, "messages[0].content[0]"),
            (#"[{"role":"assistant","tool_calls":[{}]}]"#, "messages[0].tool_calls[0]"),
            (#"{"messages":[],"tools":{}}"#, "tools"),
        ])
    func refuses(_ text: String, _ place: String) {
        let problem = #expect(throws: Problem.self) { try Conversation(json: text) }
        #expect(problem?.message.hasPrefix(place) == true, "\(problem?.message ?? "")")
    }

    @Test("what a template can't say is refused, not left out")
    func impossible() throws {
        let tokenizer = try tokenizer()
        let tool = try JSONValue(parsing: #"{"type":"function","function":{"name":"f"}}"#, source: "t")
        let user = [ChatMessage(role: "user", content: "x")]
        #expect(throws: Problem.self) { try tokenizer.renderChat(user, tools: [tool], template: .chatml) }
        #expect(throws: Problem.self) { try tokenizer.renderChat(user, tools: [.null], template: .glm4Chat) }
        #expect(throws: Problem.self) { try tokenizer.encodeChat(user, template: .chatml) }
        #expect(throws: Problem.self) {
            try tokenizer.renderChat([ChatMessage(role: "wizard", content: "x")], template: .glm4Chat)
        }
        #expect(throws: Problem.self) { try ChatTemplate(name: "none") }
    }

    @Test("a prompt to be continued begins with the model's prefix and trusts nothing")
    func prompt() throws {
        let tokenizer = try tokenizer()
        #expect(tokenizer.encodePrompt("<|user|>") == [1758, 1760] + tokenizer.encode("<|user|>"))
    }
}
