/// A value of config.json or of a GGUF file's metadata.
public enum ConfigValue: Sendable {
    /// JSON's null.
    case null
    /// True or false.
    case bool(Bool)
    /// A whole number that fits.
    case integer(Int)
    /// Any other number.
    case number(Double)
    /// Text.
    case string(String)
    /// A JSON array.
    case list([ConfigValue])
    /// A JSON object.
    case object([String: ConfigValue])
    /// A GGUF array, decoded when asked for: a vocabulary has 151 thousand strings, and few commands want them.
    case packed(PackedList)

    /// The boolean, if it is one.
    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// The whole number, if it is one; 64.0 is.
    public var integer: Int? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number, if it is one.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The text, if it is one.
    public var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    /// The object, if it is one.
    public var object: [String: ConfigValue]? {
        if case .object(let value) = self { return value }
        return nil
    }

    /// The elements, if it is a list.
    public var list: [ConfigValue]? {
        switch self {
        case .list(let values): values
        case .packed(let values): values.values
        default: nil
        }
    }

    /// The texts, if it is a list of nothing else.
    public var strings: [String]? {
        if case .packed(let values) = self { return values.strings }
        return list.flatMap { values in
            let texts = values.compactMap(\.string)
            return texts.count == values.count ? texts : nil
        }
    }

    /// The whole numbers, if it is a list of nothing else.
    public var integers: [Int]? {
        list.flatMap { values in
            let numbers = values.compactMap(\.integer)
            return numbers.count == values.count ? numbers : nil
        }
    }

    /// Whether it is JSON's null.
    public var isNull: Bool {
        if case .null = self { return true }
        return false
    }

    /// The value in a few characters, for messages.
    public var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "\"\(value.printable)\""
        case .list(let values): "a list of \(values.count)"
        case .object: "an object"
        case .packed(let values): "a list of \(values.count)"
        }
    }
}

extension String {
    /// The text on one line without control characters, cut short: files may say what they like, terminals show it.
    public var printable: String {
        var text = ""
        for scalar in unicodeScalars.prefix(80) {
            let isControl =
                scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
            text.unicodeScalars.append(isControl || scalar.value == 0x2028 || scalar.value == 0x2029 ? "?" : scalar)
        }
        return unicodeScalars.count > 80 ? text + "..." : text
    }

    /// Whether it can be a tensor's or a key's name: not empty, of sane length, without control characters.
    var isSaneName: Bool {
        !isEmpty && utf8.count <= 512
            && unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F && !(0x80...0x9F ~= $0.value) }
    }
}
