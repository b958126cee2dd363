/// A JSON value that keeps what a dictionary would lose: the order of an object's keys and the spelling of a number.
///
/// Tool definitions are put into prompts as text, key by key as the client sent them, so a round trip through a
/// dictionary would change the prompt. Strings compare by their bytes: Swift's own equality would take two spellings
/// of one accented letter for the same key.
public enum JSONValue: Sendable {
    /// One key of an object with its value.
    public struct Member: Sendable {
        /// The key.
        public var key: String
        /// The value.
        public var value: JSONValue

        /// A key with its value.
        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number as it was spelled.
    case number(String)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object, keys in the order in which they were first given.
    case object([Member])

    /// A number.
    public static func integer(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

    /// The value of `key`, when this is an object that has it.
    public subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// The string, when this is one.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The truth value, when this is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The number as an integer, when it is spelled as one that fits.
    public var integer: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    /// The number as the nearest double, when this is one.
    public var double: Double? { if case .number(let text) = self { Double(text) } else { nil } }
    /// The elements, when this is an array.
    public var elements: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    /// The members, when this is an object.
    public var members: [Member]? { if case .object(let value) = self { value } else { nil } }
    /// Whether this is `null`.
    public var isNull: Bool { if case .null = self { true } else { false } }
}

extension JSONValue: Hashable {
    /// Equal values with equal spellings, keys in the same order.
    public static func == (a: JSONValue, b: JSONValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let x), .bool(let y)): x == y
        case (.number(let x), .number(let y)), (.string(let x), .string(let y)): x.utf8.elementsEqual(y.utf8)
        case (.array(let x), .array(let y)): x == y
        case (.object(let x), .object(let y)):
            x.elementsEqual(y) { $0.key.utf8.elementsEqual($1.key.utf8) && $0.value == $1.value }
        default: false
        }
    }

    /// Hashes what `==` compares, members by their keys.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .number(let text), .string(let text):
            for byte in text.utf8 { hasher.combine(byte) }
        case .array(let elements): hasher.combine(elements)
        case .object(let members):
            for member in members { for byte in member.key.utf8 { hasher.combine(byte) } }
        }
    }
}
