import Core
import Grammar

/// The form of an answer that calls a function: its arguments, and its name where the model chooses it.
///
/// Functions are in OpenAI's form or bare (`name`, `parameters` or `input_schema`, `strict`).
enum ToolGrammar {
    /// The arguments of a call that the prompt has begun already.
    static func arguments(of function: JSONValue) throws(APIError) -> AnswerGrammar {
        AnswerGrammar([try alternative(function, lead: "")])
    }

    /// A call of one of several functions, as GLM-4 writes it: the name, a line break, the arguments.
    static func call(ofOne functions: [JSONValue]) throws(APIError) -> AnswerGrammar {
        var alternatives: [AnswerGrammar.Alternative] = []
        for function in functions { alternatives.append(try alternative(function, lead: "\(name(function))\n")) }
        return AnswerGrammar(alternatives)
    }

    /// The same where the model may also answer in text; nil when no function is strict, so that nothing needs to be held to anything.
    static func textOrCall(ofOne functions: [JSONValue]) throws(APIError) -> AnswerGrammar? {
        guard functions.contains(where: { ($0["function"] ?? $0)["strict"]?.bool == true }) else { return nil }
        var grammar = try call(ofOne: functions)
        grammar.alternatives.insert(.init(lead: "\n", notation: .text, rule: ""), at: 0)
        return grammar
    }

    private static func name(_ function: JSONValue) -> String {
        (function["function"] ?? function)["name"]?.string ?? function["type"]?.string ?? ""
    }

    /// Arguments are an object. A schema that cannot be obeyed is refused where the function is strict; else its arguments are any object, as a client
    /// that did not ask for more has to expect.
    private static func alternative(
        _ function: JSONValue, lead: String
    ) throws(APIError) -> AnswerGrammar.Alternative {
        let described = function["function"] ?? function
        let anything = AnswerGrammar.Alternative(lead: lead, notation: .jsonSchema, rule: #"{"type":"object"}"#)
        guard let schema = described["parameters"] ?? described["input_schema"], let members = schema.members else {
            return anything
        }
        let typed = schema["type"] == nil ? .object(members + [.init("type", .string("object"))]) : schema
        let wanted = AnswerGrammar.Alternative(lead: lead, notation: .jsonSchema, rule: typed.text())
        do {
            try GrammarFields.check(AnswerGrammar([wanted]), param: "tools")
        } catch {
            guard described["strict"]?.bool == true else { return anything }
            throw .field("tools", "tools: the parameters of \(name(function)): \(error.message)", code: "invalid_grammar")
        }
        return wanted
    }
}
