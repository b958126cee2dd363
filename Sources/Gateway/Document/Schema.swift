import Core

/// Short ways to write JSON schemas, as OpenAPI 3.1 has them.
///
/// Where a request's field may be left out it may be null, too: the gateway takes both for the same.
enum Schema {
    typealias Fields = [(String, JSONValue)]

    /// Any value.
    static let any = JSONValue.object([])
    static let bool = type("boolean")
    static let string = type("string")

    static func text(_ description: String) -> JSONValue { type("string", [("description", .string(description))]) }

    /// One of some words.
    static func word(_ words: String...) -> JSONValue {
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
        type(
            "array",
            [("items", items)] + (least > 0 ? [("minItems", .integer(least))] : [])
                + (most.map { [("maxItems", .integer($0))] } ?? []))
    }

    /// An object; fields that are not required may be null.
    static func object(_ fields: Fields, required: [String] = []) -> JSONValue {
        let properties = fields.map { key, schema in
            (key, JSONValue?.some(required.contains(key) ? schema : nullable(schema)))
        }
        return type("object", [("properties", .record(properties))] + requirement(required))
    }

    /// An object of an answer, whose fields have their types.
    static func answer(_ fields: Fields, required: [String] = []) -> JSONValue {
        type("object", [("properties", .record(fields.map { ($0.0, $0.1) }))] + requirement(required))
    }

    /// An object that is any dictionary.
    static let dictionary = type("object")

    static func either(_ schemas: JSONValue...) -> JSONValue { .record(["anyOf": .array(schemas)]) }

    static func nullable(_ schema: JSONValue) -> JSONValue { either(schema, type("null")) }

    /// The component of that name.
    static func ref(_ name: String) -> JSONValue { .record(["$ref": .string("#/components/schemas/\(name)")]) }

    private static func type(_ name: String, _ more: Fields = []) -> JSONValue {
        .record([("type", .string(name))] + more.map { ($0.0, $0.1) })
    }

    private static func bounds(_ range: (Int, Int)?) -> Fields {
        range.map { [("minimum", .integer($0.0)), ("maximum", .integer($0.1))] } ?? []
    }

    private static func requirement(_ names: [String]) -> Fields {
        names.isEmpty ? [] : [("required", .array(names.map { .string($0) }))]
    }
}
