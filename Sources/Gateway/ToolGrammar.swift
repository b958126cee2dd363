import Core
import Grammar
import Tokenization

/// The form of an answer that calls a function: its arguments, and its name where the model chooses it.
///
/// Functions are in OpenAI's form or bare (`name`, `parameters` or `input_schema`, `strict`).
enum ToolGrammar {
    /// The arguments of a call that the prompt has begun already.
    static func arguments(of function: JSONValue) throws(APIError) -> AnswerGrammar.Alternative {
        try alternative(function, lead: "")
    }

    /// A call of one of several functions, as GLM-4 writes it: the name, a line break, the arguments.
    static func calls(ofOne functions: [JSONValue]) throws(APIError) -> [AnswerGrammar.Alternative] {
        var alternatives: [AnswerGrammar.Alternative] = []
        for function in functions { alternatives.append(try alternative(function, lead: "\(name(function))\n")) }
        return alternatives
    }

    /// Whether arguments of one of them have to conform to its schema whoever chooses the call.
    static func hasStrict(_ functions: [JSONValue]) -> Bool {
        functions.contains { ($0["function"] ?? $0)["strict"]?.bool == true }
    }

    static func name(_ function: JSONValue) -> String {
        (function["function"] ?? function)["name"]?.string ?? function["type"]?.string ?? ""
    }

    /// What a tool of the model's own (`python`) is sent is any text. Arguments are an object. A schema that cannot be obeyed is refused where the function is strict; else its arguments are any object, as a client
    /// that did not ask for more has to expect.
    private static func alternative(
        _ function: JSONValue, lead: String
    ) throws(APIError) -> AnswerGrammar.Alternative {
        let described = function["function"] ?? function
        guard described["name"] != nil else { return .init(lead: lead, notation: .text, rule: "") }
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
            throw .field(
                "tools", "tools: the parameters of \(name(function)): \(error.message)", code: "invalid_grammar")
        }
        return wanted
    }
}

extension ToolWishes {
    /// The form of the answer: calls that must be made, or what `content` says (nil: anything) beside the calls that may be made.
    ///
    /// - Parameters:
    ///   - lead: What stands before the content.
    ///   - link: What stands between calls; nil where the model has no way to make several.
    func grammar(
        content: AnswerGrammar?, lead: String, link: AnswerGrammar.Link?
    ) throws(APIError) -> AnswerGrammar? {
        if case .call(let name) = opening {
            guard let tool = shown.first(where: { ToolGrammar.name($0) == name }) else { return nil }
            return try linked([], [try ToolGrammar.arguments(of: tool)], link)
        }
        let led = content?.led(by: lead)
        if choosesCall { return try linked([], try ToolGrammar.calls(ofOne: shown), link) }
        guard !shown.isEmpty, led != nil || ToolGrammar.hasStrict(shown) else { return led }
        let calls = try ToolGrammar.calls(ofOne: shown)
        guard let led else {
            // Calls may follow a text in another turn, too; on a line of its own a call would be a part of the text.
            let text = AnswerGrammar.Alternative(lead: lead, notation: .text, rule: "")
            return try link == .turn ? linked([], [text] + calls, link) : linked([text], calls, link)
        }
        return try linked(led.alternatives, calls, link)
    }

    /// Texts that stand alone, and calls, which others may follow where several may be made.
    private func linked(
        _ alone: [AnswerGrammar.Alternative], _ calls: [AnswerGrammar.Alternative], _ link: AnswerGrammar.Link?
    ) throws(APIError) -> AnswerGrammar {
        guard let link, repeats else { return AnswerGrammar(alone + calls) }
        var continuing = calls
        for index in continuing.indices { continuing[index].continues = true }
        return AnswerGrammar(
            alone + continuing, sequel: .init(link: link, alternatives: try ToolGrammar.calls(ofOne: shown)))
    }
}
