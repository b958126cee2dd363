import Core

/// A JSON object whose fields are read with their types and ranges checked.
///
/// A missing field and `null` are the same; what is never asked for is ignored. Errors name the field.
struct Fields {
    private let members: [String: JSONValue]
    private let path: String

    /// The fields of `value`, which was found at `path`.
    init(_ value: JSONValue, at path: String = "") throws(APIError) {
        guard let members = value.members else {
            throw .field(
                path, "\(path.isEmpty ? "the body" : path): expected an object, found \(value.kindName)",
                code: "invalid_type")
        }
        // Of a key that is there twice the last counts, as other servers have it.
        self.members = Dictionary(members.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        self.path = path
    }

    /// The full name of a field.
    func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// A field, unless it is missing or null.
    func value(_ key: String) -> JSONValue? {
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    /// A string.
    func string(_ key: String) throws(APIError) -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.string else { throw wrong(key, "a string", value) }
        return text
    }

    /// A boolean.
    func bool(_ key: String) throws(APIError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard let flag = value.bool else { throw wrong(key, "true or false", value) }
        return flag
    }

    /// A whole number within a range.
    func int(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max) throws(APIError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.whole else {
            throw wrong(key, "a whole number", value)
        }
        guard range.contains(number) else {
            let bounds =
                range.upperBound == Int.max
                ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            throw .field(name(key), "\(name(key)): expected a number \(bounds), found \(number)")
        }
        return number
    }

    /// A number within a range.
    func number(_ key: String, in range: ClosedRange<Double>) throws(APIError) -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.double else { throw wrong(key, "a number", value) }
        guard range.contains(number) else {
            throw .field(
                name(key),
                "\(name(key)): expected a number from \(range.lowerBound) to \(range.upperBound), found \(number)")
        }
        return number
    }

    /// An array.
    func array(_ key: String) throws(APIError) -> [JSONValue]? {
        guard let value = value(key) else { return nil }
        guard let elements = value.elements else { throw wrong(key, "an array", value) }
        return elements
    }

    /// An object.
    func object(_ key: String) throws(APIError) -> Fields? {
        guard let value = value(key) else { return nil }
        return try Fields(value, at: name(key))
    }

    /// The error for a field of another type.
    func wrong(_ key: String, _ wanted: String, _ found: JSONValue) -> APIError {
        .field(name(key), "\(name(key)): expected \(wanted), found \(found.kindName)", code: "invalid_type")
    }
}

extension JSONValue {
    /// The number, when it is a whole one. JSON has one kind of number: 5.0 is 5.
    ///
    /// Beyond 2^53 a number with a point stands for several whole ones, and one without did not fit an Int.
    var whole: Int? { integer ?? double.flatMap { abs($0) <= 0x1p53 ? Int(exactly: $0) : nil } }
}
