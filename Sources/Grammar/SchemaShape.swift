import Core

/// Schemas that a value must all conform to; most often just one.
struct SchemaNode: Hashable {
    /// A schema with its place.
    struct Part: Hashable {
        var value: JSONValue
        var path: String

        // A place holds one schema.
        static func == (a: Part, b: Part) -> Bool { a.path == b.path }
        func hash(into hasher: inout Hasher) { hasher.combine(path) }

        /// The schema at `key` below, at `index` of a list if there is one.
        func child(_ value: JSONValue, _ key: String, _ index: String? = nil) -> Part {
            func escaped(_ key: String) -> String {
                key.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
                    .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
            }
            return Part(value: value, path: "\(path)/\(escaped(key))" + (index.map { "/\(escaped($0))" } ?? ""))
        }
    }

    var parts: [Part]

    /// The place, for problems.
    var path: String { parts.first?.path ?? "#" }
}

/// What several schemas without combining keywords say together.
struct SchemaShape {
    /// A type of JSON; an integer is a number too.
    enum Kind: String, CaseIterable {
        case null, boolean, integer, number, string, array, object
    }

    /// What one schema says about objects: merging applies each schema's `additionalProperties` to the properties of the others.
    struct Members {
        var properties: [(key: String, part: SchemaNode.Part)] = []
        /// Nil when nothing is said.
        var additional: SchemaNode.Part?
    }

    /// The same about arrays.
    struct Elements {
        var prefix: [SchemaNode.Part] = []
        var others: SchemaNode.Part?
    }

    var path: String
    /// Nil when nothing is said.
    var kinds: Set<Kind>?
    /// Types whose keywords are used.
    var mentioned: Set<Kind> = []
    /// Nil when nothing is said.
    var values: [JSONValue]?
    var range = NumberRange()
    var lengths = (least: 0, most: Int?.none)
    var pattern: (text: String, path: String)?
    var format: (name: String, path: String)?
    var items = (least: 0, most: Int?.none)
    var elements: [Elements] = []
    var members: [Members] = []
    var required: [String] = []
    var memberCounts = (least: 0, most: Int?.none)

    /// What schemas say together; `parts` have no combining keywords that count.
    init(_ parts: [SchemaNode.Part], path: String) throws {
        self.path = path
        for part in parts { try add(part) }
    }

    private mutating func add(_ part: SchemaNode.Part) throws {
        guard let list = part.value.members else { return }
        let found = Dictionary(list.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        let reader = KeywordReader(members: found, path: part.path)
        for (kind, keywords) in SchemaKeywords.kinds where keywords.contains(where: { found[$0] != nil }) {
            mentioned.insert(kind)
        }
        try addKinds(reader)
        try addValues(reader)
        try addNumbers(reader)
        try addStrings(reader)
        try addArrays(reader, part)
        try addObjects(reader, part)
    }

    private mutating func addKinds(_ reader: KeywordReader) throws {
        guard let value = reader["type"] else { return }
        let names = value.string.map { [$0] } ?? value.elements?.compactMap(\.string) ?? []
        guard !names.isEmpty, names.count == value.elements?.count ?? 1 else {
            throw reader.problem("type", "expected a type's name or an array of them")
        }
        var own: Set<Kind> = []
        for name in names {
            guard let kind = Kind(rawValue: name) else {
                throw reader.problem(
                    "type", "there is no type \(name); use null, boolean, integer, number, string, array or object")
            }
            own.insert(kind)
        }
        if reader["nullable"]?.bool == true { own.insert(.null) }
        guard let before = kinds else { return kinds = own }
        kinds = Set(
            Kind.allCases.filter { kind in
                func has(_ set: Set<Kind>) -> Bool { set.contains(kind) || (kind == .integer && set.contains(.number)) }
                return has(before) && has(own)
            })
    }

    private mutating func addValues(_ reader: KeywordReader) throws {
        var own: [JSONValue]?
        if let value = reader["enum"] {
            guard let list = value.elements, !list.isEmpty else {
                throw reader.problem("enum", "expected an array of at least one value")
            }
            own = list
        }
        if let value = reader["const"] { own = own.map { $0.filter { $0.means(value) } } ?? [value] }
        guard let own else { return }
        values = values.map { $0.filter { value in own.contains { $0.means(value) } } } ?? own
    }

    private mutating func addNumbers(_ reader: KeywordReader) throws {
        for (key, isLower, isIncluded) in [
            ("minimum", true, true), ("exclusiveMinimum", true, false), ("maximum", false, true),
            ("exclusiveMaximum", false, false),
        ] {
            guard let value = reader[key] else { continue }
            guard case .number(let text) = value else { throw reader.problem(key, "expected a number") }
            guard let bound = Decimal(text) else {
                throw reader.problem(key, "expected a number of at most \(Decimal.digitLimit) digits")
            }
            if isLower {
                range.raise(.init(value: bound, isIncluded: isIncluded))
            } else {
                range.cut(.init(value: bound, isIncluded: isIncluded))
            }
        }
        if let value = reader["multipleOf"] {
            guard case .number(let text) = value, let step = Decimal(text),
                (step.whole == [1] && step.fraction.isEmpty)
                    || (step.whole.isEmpty && step.fraction.last == 1
                        && step.fraction.dropLast().allSatisfy { $0 == 0 })
            else {
                throw reader.problem("multipleOf", "only 1, 0.1, 0.01 and so on are supported")
            }
            range.decimals = min(range.decimals ?? .max, step.fraction.count)
        }
    }

    private mutating func addStrings(_ reader: KeywordReader) throws {
        lengths = try Self.both(lengths, reader.bounds("minLength", "maxLength"))
        if let text = try reader.string("pattern") {
            if let own = pattern, own.text != text {
                throw reader.problem("pattern", "two patterns for one string are not supported; write them as one")
            }
            pattern = (text, reader.place("pattern"))
        }
        if let name = try reader.string("format") {
            if let own = format, own.name != name {
                throw reader.problem("format", "a string cannot have the formats \(own.name) and \(name)")
            }
            format = (name, reader.place("format"))
        }
    }

    private static func both(_ a: (least: Int, most: Int?), _ b: (least: Int, most: Int?)) -> (least: Int, most: Int?) {
        (max(a.least, b.least), a.most.map { min($0, b.most ?? $0) } ?? b.most)
    }

    private mutating func addArrays(_ reader: KeywordReader, _ part: SchemaNode.Part) throws {
        items = try Self.both(items, reader.bounds("minItems", "maxItems"))
        if reader["uniqueItems"]?.bool == true, items.most.map({ $0 > 1 }) ?? true {
            throw reader.problem("uniqueItems", "not supported: what was written before would have to be remembered")
        }
        var own = Elements()
        var prefixKey = "prefixItems"
        if let value = reader["items"], value.elements != nil {
            // Until 2019 a list of schemas stood in items, and the others in additionalItems.
            prefixKey = "items"
            own.others = reader["additionalItems"].map { part.child($0, "additionalItems") }
        } else {
            own.others = reader["items"].map { part.child($0, "items") }
        }
        if let value = reader[prefixKey] {
            guard let list = value.elements else { throw reader.problem(prefixKey, "expected an array of schemas") }
            own.prefix = list.enumerated().map { part.child($1, prefixKey, "\($0)") }
        }
        if !own.prefix.isEmpty || own.others != nil { elements.append(own) }
    }

    private mutating func addObjects(_ reader: KeywordReader, _ part: SchemaNode.Part) throws {
        memberCounts = try Self.both(memberCounts, reader.bounds("minProperties", "maxProperties"))
        if let value = reader["required"] {
            guard let names = value.elements?.compactMap(\.string), names.count == value.elements?.count else {
                throw reader.problem("required", "expected an array of strings")
            }
            for name in names where !required.contains(name) { required.append(name) }
        }
        var own = Members()
        if let value = reader["properties"] {
            guard let list = value.members else { throw reader.problem("properties", "expected an object") }
            own.properties = list.map { ($0.key, part.child($0.value, "properties", $0.key)) }
        }
        own.additional = reader["additionalProperties"].map { part.child($0, "additionalProperties") }
        if let value = reader["unevaluatedProperties"], own.additional == nil {
            // Beside nothing but properties the two mean the same.
            guard value.bool != nil else {
                throw reader.problem("unevaluatedProperties", "only true and false are supported")
            }
            own.additional = part.child(value, "unevaluatedProperties")
        }
        if !own.properties.isEmpty || own.additional != nil { members.append(own) }
    }
}

/// The keywords of one schema.
struct KeywordReader {
    let members: [String: JSONValue]
    let path: String

    subscript(_ key: String) -> JSONValue? { members[key] }

    func place(_ key: String) -> String { "\(path)/\(key)" }

    func problem(_ key: String, _ words: String) -> Problem { .invalid("\(place(key)): \(words)") }

    func string(_ key: String) throws -> String? {
        guard let value = members[key] else { return nil }
        guard let text = value.string else { throw problem(key, "expected a string") }
        return text
    }

    /// Two whole numbers.
    func bounds(_ leastKey: String, _ mostKey: String) throws -> (least: Int, most: Int?) {
        (try count(leastKey) ?? 0, try count(mostKey))
    }

    private func count(_ key: String) throws -> Int? {
        guard let value = members[key] else { return nil }
        guard let number = value.integer ?? value.double.flatMap({ Int(exactly: $0) }), number >= 0 else {
            throw problem(key, "expected a whole number, 0 or more")
        }
        return number
    }
}

extension JSONValue {
    /// Whether two values are the same to JSON: numbers by what they are, objects whatever the order of their keys.
    func means(_ other: JSONValue) -> Bool {
        switch (self, other) {
        case (.number(let a), .number(let b)): a == b || (Decimal(a).map { Decimal(b) == $0 } ?? false)
        case (.array(let a), .array(let b)): a.count == b.count && zip(a, b).allSatisfy { $0.means($1) }
        case (.object(let a), .object(let b)):
            a.count == b.count && a.allSatisfy { member in other[member.key].map { member.value.means($0) } ?? false }
        default: self == other
        }
    }

    /// Its type.
    var kind: SchemaShape.Kind {
        switch self {
        case .null: .null
        case .bool: .boolean
        case .string: .string
        case .array: .array
        case .object: .object
        case .number(let text): Decimal(text)?.fraction.isEmpty == true ? .integer : .number
        }
    }
}
