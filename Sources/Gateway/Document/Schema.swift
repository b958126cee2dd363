import Core

/// Short ways to write JSON schemas, as OpenAPI 3.1 has them.
///
/// Where a request's field may be left out it may be null, too: the gateway takes both for the same.
enum Schema {
    typealias Fields = KeyValuePairs<String, JSONValue>

    /// Any value.
    static let any = JSONValue.object([])
    static let bool = type("boolean")
    static let string = type("string")

    static func text(_ description: String) -> JSONValue { type("string", [("description", .string(description))]) }

    /// A string with something in it.
    static let filled = type("string", [("minLength", .integer(1))])

    /// A string that matches a pattern.
    static func matching(_ pattern: String, most: Int) -> JSONValue {
        type("string", [("pattern", .string(pattern)), ("maxLength", .integer(most))])
    }

    /// An object from keys that match a pattern.
    static func map(_ pattern: String, to value: JSONValue) -> JSONValue {
        type("object", [("propertyNames", matching(pattern, most: 256)), ("additionalProperties", value)])
    }

    /// At most so many strings by name.
    static func strings(most: Int) -> JSONValue {
        type("object", [("additionalProperties", string), ("maxProperties", .integer(most))])
    }

    /// One of some words.
    static func word(_ words: String...) -> JSONValue { self.words(words) }

    /// One of some words.
    static func words(_ words: [String]) -> JSONValue {
        type("string", [("enum", .array(words.map { .string($0) }))])
    }

    static func int(_ range: ClosedRange<Int>? = nil) -> JSONValue {
        type("integer", bounds(range.map { ($0.lowerBound, $0.upperBound) }))
    }

    /// A whole number from `least` on.
    static func int(from least: Int) -> JSONValue { type("integer", [("minimum", .integer(least))]) }

    static func number(_ range: ClosedRange<Int>? = nil) -> JSONValue {
        type("number", bounds(range.map { ($0.lowerBound, $0.upperBound) }))
    }

    /// A number above zero.
    static func positive(upTo most: Int) -> JSONValue {
        type("number", [("exclusiveMinimum", .integer(0)), ("maximum", .integer(most))])
    }

    static func array(_ items: JSONValue, least: Int = 0, most: Int? = nil) -> JSONValue {
        var members: Members = [("items", items)]
        if least > 0 { members.append(("minItems", .integer(least))) }
        if let most { members.append(("maxItems", .integer(most))) }
        return type("array", members)
    }

    /// An object of a request; fields that are not required may be null.
    static func object(_ groups: Fields..., required: [String] = []) -> JSONValue {
        var properties: [(String, JSONValue?)] = []
        for (key, schema) in groups.joined() {
            properties.append((key, required.contains(key) ? schema : nullable(schema)))
        }
        var members: Members = [("properties", .record(properties))]
        if !required.isEmpty { members.append(("required", .array(required.map { .string($0) }))) }
        return type("object", members)
    }

    /// An object of an answer, whose fields have their types.
    static func answer(_ groups: Fields..., required: [String] = []) -> JSONValue {
        var properties: [(String, JSONValue?)] = []
        for (key, schema) in groups.joined() { properties.append((key, schema)) }
        var members: Members = [("properties", .record(properties))]
        if !required.isEmpty { members.append(("required", .array(required.map { .string($0) }))) }
        return type("object", members)
    }

    /// An object that is any dictionary.
    static let dictionary = type("object")

    static func either(_ schemas: JSONValue...) -> JSONValue { .record(["anyOf": .array(schemas)]) }

    static func nullable(_ schema: JSONValue) -> JSONValue { either(schema, type("null")) }

    /// The component of that name.
    static func ref(_ name: String) -> JSONValue { .record(["$ref": .string("#/components/schemas/\(name)")]) }

    private typealias Members = [(String, JSONValue?)]

    private static func type(_ name: String, _ more: Members = []) -> JSONValue {
        let head: Members = [("type", .string(name))]
        return .record(head + more)
    }

    private static func bounds(_ range: (Int, Int)?) -> Members {
        range.map { [("minimum", .integer($0.0)), ("maximum", .integer($0.1))] } ?? []
    }
}
