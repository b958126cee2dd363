import Core

/// Short ways to write the values that answers are made of.
extension JSONValue {
    /// An object; members whose value is nil are left out.
    static func record(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        record(members.map { ($0.key, $0.value) })
    }

    /// An object; members whose value is nil are left out.
    static func record(_ members: [(String, JSONValue?)]) -> JSONValue {
        .object(members.compactMap { key, value in value.map { Member(key, $0) } })
    }

    /// A number with a fraction; JSON has neither infinities nor NaN, they become null.
    static func real(_ value: Double) -> JSONValue { value.isFinite ? .number("\(value)") : .null }

    /// A string, or null.
    static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

    /// What the value is, in the words of an error message.
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number(let text): text.count <= 20 ? "the number \(text)" : "a number"
        case .string(let text): text.count <= 20 ? "the string \"\(text)\"" : "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
