import Core
import Testing

@testable import Grammar

/// Texts that grammars accept, and texts that they don't.
@Suite("Acceptance") struct AcceptanceTests {
    private func accepts(_ grammar: AnswerGrammar, _ text: String) throws -> Bool {
        let automaton = Automaton(try Network(grammar))
        let end = automaton.walk(automaton.start, text.utf8)
        return end != Automaton.dead && automaton.accepts[Int(end)]
    }

    @Test(
        "regular expressions",
        arguments: [
            ("a|bc", ["a", "bc"], ["", "b", "abc"]), ("^a*?b$", ["b", "aab"], ["a", "ba"]),
            (#"\d{2,3}"#, ["12", "123"], ["1", "1234", "a1"]), (#"[^a-c]"#, ["d", "é", "🙂"], ["a", "c", "dd"]),
            (#"(?<year>\d+)-(?:x|y)?"#, ["1-", "22-x"], ["-", "1-xy"]), (#"a.c"#, ["abc", "a中c"], ["a\nc", "ac"]),
            (#"[\w.-]+@\w+"#, ["a.b-c@d"], ["@d", "a@"]), (#"\u00e9|\x41|\u{1F642}"#, ["é", "A", "🙂"], ["e"]),
            (#"x{0}y"#, ["y"], ["xy"]), ("a{,2}", ["a{,2}"], ["aa"]), (#"[]a]?"#, [], []),
            ("[\u{7FF}-\u{10001}]", ["\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10001}"], ["\u{7FE}", "\u{10002}"]),
        ] as [(String, [String], [String])])
    func expressions(expression: String, yes: [String], no: [String]) throws {
        guard !yes.isEmpty else {
            #expect(throws: Problem.self) { try accepts(AnswerGrammar(.regex, expression), "") }
            return
        }
        for text in yes { #expect(try accepts(AnswerGrammar(.regex, expression), text), "\(text)") }
        for text in no { #expect(try !accepts(AnswerGrammar(.regex, expression), text), "\(text)") }
    }

    @Test("GBNF: recursion, repetition, escapes, comments, rules over several lines")
    func gbnf() throws {
        let lists = AnswerGrammar(
            .gbnf,
            #"""
            # nested lists
            root ::= list
            list ::= "[" (item ("," item)*)? "]"
            item ::= list
              | [a-z\u00e9]{1,2} "\x41\n"?
            """#)
        for text in ["[]", "[a,[bc,[]],éA\n]", "[[[[]]]]"] { #expect(try accepts(lists, text), "\(text)") }
        for text in ["", "[", "[a,]", "[abc]", "[]]"] { #expect(try !accepts(lists, text), "\(text)") }
        let right = AnswerGrammar(.gbnf, "root ::= \"a\" root | \"b\"")
        #expect(try accepts(right, String(repeating: "a", count: 5000) + "b"))
    }

    @Test("a list that goes on at its right end takes no stack")
    func rightRecursion() throws {
        let automaton = Automaton(try Network(AnswerGrammar(.gbnf, "root ::= [a-c] \",\" root | \"z\"")))
        _ = automaton.walk(automaton.start, String(repeating: "a,", count: 1000).utf8)
        #expect(automaton.size < 20)
    }

    @Test("integers in range: all from -1300 to 1300, for many bounds")
    func integers() throws {
        for (low, high) in [(0, 0), (-7, 12), (99, 1001), (-1200, -45), (5, 5), (0, 1234), (-10, 0), (10, 99)] {
            let schema = AnswerGrammar(.jsonSchema, #"{"type":"integer","minimum":\#(low),"maximum":\#(high)}"#)
            let automaton = Automaton(try Network(schema))
            for value in -1300...1300 {
                let end = automaton.walk(automaton.start, String(value).utf8)
                let accepted = end != Automaton.dead && automaton.accepts[Int(end)]
                if accepted != (low...high).contains(value) {
                    Issue.record("\(value) in \(low)...\(high): \(accepted)")
                }
            }
            #expect(automaton.walk(automaton.start, "-0".utf8) == Automaton.dead || low < 0)
            #expect(automaton.walk(automaton.start, "00".utf8) == Automaton.dead)
        }
    }

    @Test(
        "numbers in range: hundredths from -13 to 13, for many bounds",
        arguments: [
            (#""minimum":-1.5,"maximum":2.25"#, { @Sendable (x: Int) in x >= -150 && x <= 225 }),
            (#""exclusiveMinimum":0.1,"exclusiveMaximum":12"#, { @Sendable (x: Int) in x > 10 && x < 1200 }),
            (#""minimum":3"#, { @Sendable (x: Int) in x >= 300 }),
            (#""exclusiveMaximum":-0.05"#, { @Sendable (x: Int) in x < -5 }),
            (#""exclusiveMinimum":0"#, { @Sendable (x: Int) in x > 0 }),
            (#""minimum":2.5,"maximum":2.5"#, { @Sendable (x: Int) in x == 250 }),
            (#""minimum":0,"exclusiveMaximum":1"#, { @Sendable (x: Int) in x >= 0 && x < 100 }),
            (#""maximum":1e1"#, { @Sendable (x: Int) in x <= 1000 }),
        ] as [(String, @Sendable (Int) -> Bool)])
    func numbers(bounds: String, isIn: @Sendable (Int) -> Bool) throws {
        let automaton = Automaton(try Network(AnswerGrammar(.jsonSchema, #"{"type":"number",\#(bounds)}"#)))
        for hundredths in -1300...1300 {
            let magnitude = abs(hundredths)
            let cents = magnitude % 100
            var text = "\(hundredths < 0 ? "-" : "")\(magnitude / 100)"
            if cents > 0 { text += "." + (cents < 10 ? "0" : "") + "\(cents)" }
            if cents > 0, cents % 10 == 0 { text.removeLast() }
            let end = automaton.walk(automaton.start, text.utf8)
            let accepted = end != Automaton.dead && automaton.accepts[Int(end)]
            if accepted != isIn(hundredths) { Issue.record("\(text): \(accepted)") }
        }
    }

    @Test("layouts that people and models use are possible")
    func layouts() throws {
        let schema = AnswerGrammar(
            .jsonSchema, #"{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}},"b":{}}}"#)
        for text in [
            #"{"a":[1,2],"b":{"c":[]}}"#, #"{"a": [1, 2], "b": {"c": "x\u00e9\n"}}"#, "{}", #"{"b": -1.5e+7}"#,
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": null\n}", #"{"a":[]}"#, #"{"b":"\ud83d\ude00"}"#,
        ] { #expect(try accepts(schema, text), "\(text)") }
        for text in [
            #"{"b":1,"a":[]}"#, #"{"a":[1,]}"#, #"{"c":1}"#, #"{"b":"\ud83d"}"#, "{\"b\":\"\n\"}", #"{"b":01}"#,
        ] {
            #expect(try !accepts(schema, text), "\(text)")
        }
    }

    @Test(
        "formats",
        arguments: [
            ("date", "2024-12-31", "2024-02-30"), ("time", "23:59:59.5Z", "24:00:00Z"),
            ("date-time", "2024-02-28T00:00:00+01:00", "2024-02-28 00:00:00"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
            ("email", "a.b+c@example.org", "a@b"), ("ipv4", "192.168.0.255", "256.1.1.1"), ("duration", "P3DT4H", "P"),
            ("hostname", "a-b.example.org", "-a.org"), ("ipv6", "1:2:3:4:5:6:7:abcd", "1:2"),
            ("uri", "https://a.org/b?c=d", "a.org"),
        ])
    func formats(name: String, good: String, bad: String) throws {
        let schema = AnswerGrammar(.jsonSchema, #"{"type":"string","format":"\#(name)"}"#)
        #expect(try accepts(schema, "\"\(good)\""))
        #expect(try !accepts(schema, "\"\(bad)\""))
    }

    @Test(
        "texts that continue are followed by others behind their link, those that do not stand alone",
        arguments: AnswerGrammar.Link.allCases)
    func sequels(link: AnswerGrammar.Link) throws {
        let call = AnswerGrammar.Alternative(
            lead: "f\n", notation: .jsonSchema,
            rule:
                ##"{"type":"object","properties":{"x":{"$ref":"#/$defs/t"}},"$defs":{"t":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["x"]}"##
        )
        var first = call
        (first.lead, first.continues) = ("", true)
        let grammar = AnswerGrammar(
            [first, .init(notation: .literal, rule: "no")], sequel: .init(link: link, alternatives: [call]))
        let automaton = Automaton(try Network(grammar))
        func accepts(_ parts: String...) -> Bool {
            let bytes = parts.map { Array($0.utf8) }.joined(separator: [link == .line ? 10 : AnswerGrammar.turnByte])
            let end = automaton.walk(automaton.start, bytes)
            return end != Automaton.dead && automaton.accepts[Int(end)]
        }
        #expect(accepts(#"{"x":[[]]}"#) && accepts("no"))
        #expect(accepts(#"{"x":[[]]}"#, "f\n{\"x\":[]}", "f\n{\"x\":[[],[]]}"))
        #expect(!accepts("no", "f\n{\"x\":[]}") && !accepts(#"{"x":[]}"#, "no") && !accepts(#"{"x":[]}"#, #"{"x":[]}"#))
        #expect(!accepts(#"{"x":[]}"#, "") && !accepts("f\n{\"x\":[]}"))
    }

    @Test("one of several texts with leads, as for tool calls")
    func alternatives() throws {
        let grammar = AnswerGrammar([
            .init(
                lead: "get_weather\n", notation: .jsonSchema,
                rule: #"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#),
            .init(lead: "\n", notation: .text, rule: ""),
        ])
        #expect(try accepts(grammar, "get_weather\n{\"city\": \"Ulm\"}"))
        #expect(try accepts(grammar, "\nanything"))
        #expect(try !accepts(grammar, "get_weather\n{}"))
        let automaton = Automaton(try Network(AnswerGrammar(.regex, "abc(d|e)")))
        #expect(automaton.forcedByte(automaton.start) == UInt8(ascii: "a"))
    }
}
