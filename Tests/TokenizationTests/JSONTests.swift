import Core
import Testing
import Tokenization

@Suite struct JSONTests {
    @Test("keys keep their order and numbers their spelling; of equal keys the last value counts")
    func keeps() throws {
        let json = try JSONValue(
            parsing: #" {"b": 1.50, "a": [1e5, -0, "x\/\u00e9\ud83d\ude42"], "b": {"c": {}}} "#, source: "t")
        #expect(json.text() == #"{"b":{"c":{}},"a":[1e5,-0,"x/é🙂"]}"#)
        #expect(json["b"]?["c"]?.members?.isEmpty == true)
        let twins = try JSONValue(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}", source: "t")
        #expect(twins.members?.count == 2 && twins["e\u{301}"]?.integer == 2)
    }

    @Test(
        "numbers print as Python prints them after reading them",
        arguments: [
            ("1", "1"), ("-0", "0"), ("-0.0", "-0.0"), ("1.0", "1.0"), ("1.50", "1.5"), ("1e5", "100000.0"),
            ("1E15", "1000000000000000.0"), ("1e16", "1e+16"), ("123456789012345678", "123456789012345678"),
            ("1.5e300", "1.5e+300"), ("0.0001", "0.0001"), ("0.00001", "1e-05"), ("1.25e-7", "1.25e-07"),
            ("5e-324", "5e-324"), ("1e400", "Infinity"), ("-12.5", "-12.5"), ("0.1", "0.1"), ("1e22", "1e+22"),
            ("9007199254740993.0", "9007199254740992.0"), ("12345.678", "12345.678"),
        ])
    func numbers(_ spelled: String, _ printed: String) throws {
        #expect(try JSONValue(parsing: spelled, source: "t").text(.python) == printed)
    }

    @Test("the indented form is json.dumps with indent 4")
    func indented() throws {
        let json = try JSONValue(parsing: #"{"a":[],"b":{},"c":[1,{"d":"\u0001\n\"\u007f"}]}"#, source: "t")
        #expect(
            json.text(.pythonIndented)
                == "{\n    \"a\": [],\n    \"b\": {},\n    \"c\": [\n        1,\n        {\n            \"d\": \"\\u0001\\n\\\"\u{7F}\"\n        }\n    ]\n}"
        )
        #expect(json.text(.python) == #"{"a": [], "b": {}, "c": [1, {"d": "\u0001\n\"\#u{7F}"}]}"#)
    }

    @Test(
        "text that is no JSON is refused with its line",
        arguments: [
            "", "{", "[1,]", "{\"a\" 1}", "01", "1.", "-", "tru", "\"\\x\"", "\"\\u12g4\"", "\"a", "[1 2]", "nul",
            "'a'",
            "\"a\tb\"", "1 2", "{\"a\":1,}", "+1", ".5", "1e", "NaN", "{a:1}", "[", "\"\\",
        ])
    func refuses(_ text: String) {
        let problem = #expect(throws: Problem.self) { try JSONValue(parsing: "\n\n" + text, source: "file.json") }
        #expect(problem?.message.hasPrefix("file.json line 3: not JSON: ") == true, "\(problem?.message ?? "")")
    }

    @Test("nesting beyond the limit and bytes that are no UTF-8 are refused")
    func limits() {
        let deep = String(repeating: "[", count: 200_000)
        #expect(throws: Problem.self) { try JSONValue(parsing: deep, source: "t") }
        #expect(throws: Problem.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22], source: "t") }
        #expect(throws: Problem.self) { try JSONValue(parsing: [0x22, 0x5C, 0x6E, 0xC3, 0x22], source: "t") }
    }

    @Test("cut and flipped text is read or refused, never more")
    func damaged() throws {
        let text = Array(#"{"a":[1,2.5e-3,true,null,"x\u00e9\n"],"b":{"c":"中"}}"#.utf8)
        for cut in 0..<text.count {
            #expect(throws: Problem.self) { try JSONValue(parsing: Array(text[..<cut]), source: "t") }
            for bit in 0..<8 {
                var flipped = text
                flipped[cut] ^= 1 << UInt8(bit)
                _ = try? JSONValue(parsing: flipped, source: "t").text(.pythonIndented)
            }
        }
    }
}
