import Core
import Testing

@Suite("forms of answers")
struct GrammarTests {
    private static let hi = #""messages":[{"role":"user","content":"hi"}]"#

    /// The grammar of the job that a body becomes.
    private func grammar(_ path: String, _ body: String) async throws -> AnswerGrammar? {
        let cluster = try FakeCluster()
        return try await withGateway(cluster) { client in
            let reply = try await client.send(.post, path, body)
            #expect(reply.status == 200, "\(reply.body)")
            return await cluster.requests.first?.options.grammar
        }
    }

    @Test("every field that asks for a form becomes the job's grammar")
    func fields() async throws {
        for (field, notation, rule) in [
            (#""response_format":{"type":"json_object"}"#, .jsonSchema, #"{"type":"object"}"#),
            (
                #""response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"null"}}}"#,
                .jsonSchema, #"{"type":"null"}"#
            ),
            (#""guided_json":"{\"type\":\"integer\"}""#, .jsonSchema, #"{"type":"integer"}"#),
            (#""guided_json":{"type":"integer"}"#, .jsonSchema, #"{"type":"integer"}"#),
            (#""regex":"a+""#, .regex, "a+"), (#""structured_outputs":{"regex":"b"}"#, .regex, "b"),
            (#""grammar":"root ::= \"x\"""#, .gbnf, #"root ::= "x""#), (#""guided_choice":["ja"]"#, .literal, "ja"),
        ] as [(String, AnswerGrammar.Notation, String)] {
            let chat = try await grammar("/v1/chat/completions", "{\(Self.hi),\(field)}")
            #expect(chat == AnswerGrammar(notation, rule).led(by: "\n"), "\(field)")
            #expect(
                try await grammar("/v1/completions", #"{"prompt":"hi",\#(field)}"#) == AnswerGrammar(notation, rule))
        }
        #expect(try await grammar("/v1/chat/completions", #"{\#(Self.hi),"response_format":{"type":"text"}}"#) == nil)
        let format = #""text":{"format":{"type":"json_schema","name":"n","schema":{"type":"null"}}}"#
        #expect(
            try await grammar("/v1/responses", #"{"input":"hi",\#(format)}"#)
                == AnswerGrammar(.jsonSchema, #"{"type":"null"}"#).led(by: "\n"))
    }

    @Test(
        "what cannot be obeyed is refused with the field and the reason",
        arguments: [
            (#""response_format":{"type":"json_schema"}"#, "response_format", "missing"),
            (
                #""response_format":{"type":"json_schema","json_schema":{"name":"a b"}}"#, "response_format",
                "1 to 64 letters"
            ),
            (
                #""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"items":{"not":{}}}}}"#,
                "response_format", "#/items: not is not supported"
            ),
            (#""regex":"(""#, "regex", "expected )"), (#""grammar":"x""#, "grammar", "expected ::="),
            (#""guided_choice":[]"#, "guided_choice", "at least one"),
            (#""regex":"a","grammar":"b""#, "regex", "only one form"),
            (#""structured_outputs":{"json":3}"#, "structured_outputs.json", "expected a schema"),
        ])
    func refused(field: String, param: String, words: String) async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.post, "/v1/chat/completions", "{\(Self.hi),\(field)}")
            let error = try reply.json["error"]
            #expect(reply.status == 400 && error?["param"]?.string == param, "\(reply.body)")
            #expect(error?["message"]?.string?.contains(words) == true, "\(reply.body)")
        }
    }

    @Test("calls that must be made are held to the function's parameters")
    func calls() async throws {
        func tool(_ name: String, _ more: String = "") -> String {
            #"{"type":"function","function":{"name":"\#(name)","parameters":{"properties":{"x":{"type":"null"}}}\#(more)}}"#
        }
        let rule = #"{"properties":{"x":{"type":"null"}},"type":"object"}"#
        func call(_ lead: String) -> AnswerGrammar.Alternative { .init(lead: lead, notation: .jsonSchema, rule: rule) }
        func chat(_ tools: String, _ more: String) async throws -> AnswerGrammar? {
            try await grammar("/v1/chat/completions", #"{\#(Self.hi),"tools":[\#(tools)]\#(more)}"#)
        }
        let both = tool("f") + "," + tool("g")
        /// Calls after which others may be made, each in a turn of its own.
        func several(_ alternatives: [AnswerGrammar.Alternative], _ more: [AnswerGrammar.Alternative]) -> AnswerGrammar
        {
            let continuing = alternatives.map { alternative in
                var alternative = alternative
                alternative.continues = true
                return alternative
            }
            return AnswerGrammar(continuing, sequel: .init(link: .turn, alternatives: more))
        }
        let single = #","parallel_tool_calls":false"#
        #expect(try await chat(both, "") == nil)
        #expect(
            try await chat(tool("f"), #","tool_choice":"required""#) == several([call("")], [call("f\n")]))
        #expect(try await chat(tool("f"), #","tool_choice":"required""# + single) == AnswerGrammar([call("")]))
        #expect(
            try await chat(both, #","tool_choice":{"type":"function","function":{"name":"g"}}"#)
                == AnswerGrammar([call("")]))
        let calls = [call("f\n"), call("g\n")]
        #expect(try await chat(both, #","tool_choice":"required""#) == several(calls, calls))
        #expect(try await chat(both, #","tool_choice":"required""# + single) == AnswerGrammar(calls))
        #expect(
            try await chat(tool("f", #","strict":true"#), "")
                == several([.init(lead: "\n", notation: .text, rule: ""), call("f\n")], [call("f\n")]))
        #expect(
            try await chat(tool("f"), #","response_format":{"type":"json_object"}"# + single)
                == AnswerGrammar([.init(lead: "\n", notation: .jsonSchema, rule: #"{"type":"object"}"#), call("f\n")]))
    }
}
