import Core
import Testing

@testable import Grammar

/// What cannot be obeyed is refused, in words that name the place.
@Suite("Refusals") struct RefusalTests {
    private func message(_ grammar: AnswerGrammar) -> String {
        do {
            _ = try Network(grammar)
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test(
        "schemas",
        arguments: [
            (#"{"type":"array","uniqueItems":true}"#, "#/uniqueItems: not supported"),
            (#"{"properties":{"a":{"not":{}}}}"#, "#/properties/a: not is not supported"),
            (#"{"patternProperties":{"^a":{}}}"#, "patternProperties is not supported"),
            (#"{"if":{},"then":{}}"#, "#: if is not supported"),
            (#"{"type":"strin"}"#, "#/type: there is no type strin"),
            (#"{"type":"string","format":"iban"}"#, "#/format: the format iban is not supported; use date,"),
            (#"{"type":"string","pattern":"(?=a)b"}"#, "#/pattern line 1, character 3: lookahead"),
            (#"{"type":"string","pattern":"a","minLength":2}"#, "#/pattern: beside minLength"),
            (#"{"$ref":"http://a/b"}"#, "only references within the schema"),
            (##"{"$ref":"#/$defs/x"}"##, "there is nothing at #/$defs/x"),
            (#"{"type":"integer","multipleOf":7}"#, "#/multipleOf: only 1, 0.1"),
            (
                #"{"type":"object","properties":{"a":{"type":"integer","minimum":5,"maximum":4}},"required":["a"]}"#,
                "#/properties/a: no number is within its bounds, so there can be no answer"
            ),
            (#"{"type":"string","minLength":3,"maxLength":2}"#, "minLength 3 is over maxLength 2"),
            (##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##, "no finite text is accepted"),
            (#"{"allOf":[{"type":"string"},{"type":"null"}]}"#, "#: no type conforms to all"),
            (
                #"{"type":"object","additionalProperties":false,"properties":{},"required":["k"]}"#,
                "the required property k can have no value"
            ),
            (#"{"enum":[]}"#, "#/enum: expected an array of at least one"),
            (#"{"enum":["a"],"type":"integer"}"#, "none of the values"),
            (#"false"#, "#: false permits nothing"),
            (#"{"type":"array","minItems":3,"prefixItems":[{}],"items":false}"#, "minItems is 3"),
            ("[", "the schema line 1: not JSON"), ("3", "#: expected a schema"),
            (#"{"type":"string","maxLength":100000000}"#, "the grammar is too large"),
        ])
    func schemas(schema: String, words: String) {
        let found = message(AnswerGrammar(.jsonSchema, schema))
        #expect(found.contains(words), "\(found)")
    }

    @Test(
        "grammars and expressions",
        arguments: [
            (AnswerGrammar.Notation.gbnf, "root ::= root \"a\" | \"b\"", "root begins with itself"),
            (.gbnf, "root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"z\"", "begins with itself"),
            (.gbnf, "root ::= a", "the rule a is used but not there"), (.gbnf, "a ::= \"b\"", "there is no rule root"),
            (.gbnf, "root ::= \"a", "expected \" at the end"), (.gbnf, "root := \"a\"", "expected ::="),
            (.gbnf, "root ::= \"a\" root", "no finite text is accepted"), (.gbnf, "root ::= [z-a]", "backwards"),
            (.gbnf, "root ::= \"a\"\nroot ::= \"b\"", "is there twice"),
            (.gbnf, "root ::= (\"a\"", "expected ) at the end"), (.regex, "a(b", "expected )"),
            (.regex, "a)b", "unmatched )"),
            (.regex, "*a", "nothing to repeat"), (.regex, #"(a)\1"#, "references to groups"),
            (.regex, "a^b", "^ can only"),
            (.regex, "a$b", "$ can only"), (.regex, "[b-a]", "backwards"), (.regex, "a{5,2}", "at most 2"),
            (.regex, #"\p{L}"#, "write the characters as ranges"),
            (.regex, "((((a{1000}){1000}){1000}){1000})", "too large"),
            (.regex, String(repeating: "(", count: 5000), "nest too deep"),
        ])
    func others(notation: AnswerGrammar.Notation, rule: String, words: String) {
        let found = message(AnswerGrammar(notation, rule))
        #expect(found.contains(words), "\(found)")
    }

    @Test("large grammars take time in proportion: long chains of rules, many alternatives multiplied")
    func large() {
        let chain = (0..<3000).map { "r\($0) ::= (\"a\"* \"b\"*){9} r\($0 + 1)?" }.joined(separator: "\n")
        #expect(message(AnswerGrammar(.gbnf, "root ::= r0\n\(chain)\nr3000 ::= \"c\"")) == "accepted")
        let definitions = (0..<3000).map { ##""d\##($0)":{"type":"array","items":{"$ref":"#/$defs/d\##($0 + 1)"}}"## }
            .joined(separator: ",")
        #expect(
            message(AnswerGrammar(.jsonSchema, ##"{"$defs":{\##(definitions),"d3000":{}},"$ref":"#/$defs/d0"}"##))
                == "accepted")
        var schema = #"{"type":"null"}"#
        for _ in 0..<12 {
            let branch = #"{"properties":{"a":\#(schema)}}"#
            schema = #"{"allOf":[{"anyOf":[\#(branch),\#(branch)]},{"anyOf":[{"required":["a"]},{"type":"object"}]}]}"#
            if schema.utf8.count > 400_000 { break }
        }
        #expect(message(AnswerGrammar(.jsonSchema, schema)).contains("multiplied out"))
    }

    @Test("random damage is read or refused, never a crash")
    func damage() {
        var numbers = SeededNumbers(state: 3)
        let seeds: [(AnswerGrammar.Notation, String)] =
            RandomAnswerTests.schemas.map { (.jsonSchema, $0) } + [
                (.gbnf, "root ::= a+ (b | [^\"\\n]{2,3})*\na ::= \"x\\u00e9\" | b\nb ::= \"y\"?  \"z\""),
                (.regex, #"^(?:a[b-d\w]+|\d{2,3}?)\.é$"#),
            ]
        for (notation, text) in seeds {
            for _ in 0..<60 {
                var scalars = Array(text.unicodeScalars)
                for _ in 0..<Int.random(in: 1...3, using: &numbers) where !scalars.isEmpty {
                    let at = Int.random(in: 0..<scalars.count, using: &numbers)
                    if Bool.random(using: &numbers) {
                        scalars.remove(at: at)
                    } else if let other = scalars.randomElement(using: &numbers) {
                        scalars.insert(other, at: at)
                    }
                }
                var damaged = ""
                damaged.unicodeScalars.append(contentsOf: scalars)
                _ = message(AnswerGrammar(notation, damaged))
            }
        }
    }
}
