import Core
import Grammar
import Tokenization

/// The fields of a request that say which form its answer has.
enum GrammarFields {
    /// Reads them; nil when the answer may be anything. The grammar was read once, so that what is wrong with it is told with the field's name.
    static func grammar(_ fields: Fields) throws(APIError) -> AnswerGrammar? {
        var found: [(key: String, grammar: AnswerGrammar)] = []
        if let grammar = try responseFormat(fields) { found.append(("response_format", grammar)) }
        if let text = try fields.string("grammar") { found.append(("grammar", AnswerGrammar(.gbnf, text))) }
        if let text = try fields.string("regex") { found.append(("regex", AnswerGrammar(.regex, text))) }
        found += try guided(fields, prefix: "guided_")
        if let nested = try fields.object("structured_outputs") { found += try guided(nested, prefix: "") }
        guard let first = found.first else { return nil }
        guard found.count == 1 else {
            let keys = found.map(\.key).joined(separator: ", ")
            throw .field(found[1].key, "\(found[1].key): only one form of the answer is possible, found \(keys)")
        }
        try check(first.grammar, param: first.key)
        return first.grammar
    }

    /// Refuses a grammar that cannot be read, naming the field it came from.
    static func check(_ grammar: AnswerGrammar, param: String) throws(APIError) {
        do {
            _ = try Network(grammar)
        } catch {
            throw .field(param, "\(param): \(error)", code: "invalid_grammar")
        }
    }

    /// OpenAI's form. `strict` changes nothing: every answer conforms.
    private static func responseFormat(_ fields: Fields) throws(APIError) -> AnswerGrammar? {
        guard let format = try fields.object("response_format") else { return nil }
        switch try format.string("type") {
        case "text": return nil
        case "json_object": return .jsonObject
        case "json_schema":
            guard let wanted = try format.object("json_schema") else {
                throw .field(
                    "response_format", "response_format.json_schema: missing; expected an object with name and schema",
                    code: "missing")
            }
            return try schema(named: wanted, param: "response_format")
        case let type:
            throw .unsupported(
                "response_format",
                "response_format.type: expected text, json_object or json_schema, found \(type ?? "nothing")")
        }
    }

    /// The form in the Responses API: the same, with the schema's fields beside the type.
    static func textFormat(_ fields: Fields) throws(APIError) -> AnswerGrammar? {
        guard let format = try fields.object("text")?.object("format") else { return nil }
        let grammar: AnswerGrammar
        switch try format.string("type") {
        case nil, "text": return nil
        case "json_object": grammar = .jsonObject
        case "json_schema": grammar = try schema(named: format, param: "text.format")
        case .some(let type):
            throw .unsupported(
                "text.format", "text.format.type: expected text, json_object or json_schema, found \(type)")
        }
        try check(grammar, param: "text.format")
        return grammar
    }

    /// A schema with its name, as `response_format.json_schema` and the Responses API's `text.format` have it.
    static func schema(named wanted: Fields, param: String) throws(APIError) -> AnswerGrammar {
        guard let name = try wanted.string("name") else {
            throw .field(param, "\(wanted.name("name")): missing; expected a name for the schema", code: "missing")
        }
        let isSimple = name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte)
                || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        guard isSimple, (1...64).contains(name.utf8.count) else {
            throw .field(
                param, "\(wanted.name("name")): expected 1 to 64 letters, digits, _ or -, found \(name.prefix(80))")
        }
        _ = try wanted.bool("strict")
        guard let schema = wanted.value("schema") else { return .jsonObject }
        return try grammar(of: schema, param: param)
    }

    /// A schema as JSON.
    private static func grammar(of schema: JSONValue, param: String) throws(APIError) -> AnswerGrammar {
        guard schema.members != nil || schema.bool != nil else {
            throw .field(param, "\(param): expected a schema, found \(schema.kindName)", code: "invalid_type")
        }
        return AnswerGrammar(.jsonSchema, schema.text())
    }

    /// vLLM's fields, in their older and newer places.
    private static func guided(
        _ fields: Fields, prefix: String
    ) throws(APIError) -> [(key: String, grammar: AnswerGrammar)] {
        var found: [(key: String, grammar: AnswerGrammar)] = []
        func add(_ key: String, _ grammar: AnswerGrammar) { found.append((fields.name(key), grammar)) }
        if let value = fields.value(prefix + "json") {
            // A schema may come as text, too.
            if let text = value.string {
                add(prefix + "json", AnswerGrammar(.jsonSchema, text))
            } else {
                add(prefix + "json", try grammar(of: value, param: fields.name(prefix + "json")))
            }
        }
        if try fields.bool(prefix + "json_object") == true { add(prefix + "json_object", .jsonObject) }
        if let text = try fields.string(prefix + "regex") { add(prefix + "regex", AnswerGrammar(.regex, text)) }
        if let text = try fields.string(prefix + "grammar") { add(prefix + "grammar", AnswerGrammar(.gbnf, text)) }
        if let choices = try fields.array(prefix + "choice") {
            let name = fields.name(prefix + "choice")
            var texts: [String] = []
            for choice in choices {
                guard let text = choice.string else {
                    throw .field(name, "\(name): expected strings, found \(choice.kindName)", code: "invalid_type")
                }
                texts.append(text)
            }
            guard !texts.isEmpty else { throw .field(name, "\(name): expected at least one string") }
            add(prefix + "choice", .choice(of: texts))
        }
        return found
    }
}

extension ServedModel {
    /// What an answer in a chat begins with, before its content: the line break that ends the (empty) metadata of GLM's messages.
    var answerLead: String { tokenizer.template == .glm4Chat || tokenizer.template == .glm40414 ? "\n" : "" }

    /// What stands between two calls of functions, as the model's template has it; nil where it has no calls.
    var callLink: AnswerGrammar.Link? {
        switch tokenizer.template {
        case .glm4Chat: .turn
        case .glm40414: .line
        case .chatml, .plain: nil
        }
    }
}
