import Core

/// Turns a JSON Schema into the rules for the JSON texts that conform to it.
///
/// Not every such text is possible, but every text that is possible conforms: keys come in the schema's order, `oneOf` is read as `anyOf`, an object
/// that names its properties has no others unless `additionalProperties` says so, and a schema whose keywords speak of one type means that type.
struct SchemaReader {
    /// Larger schemas are refused.
    static let sizeLimit = 1 << 20
    /// What `allOf`, `anyOf` and `$ref` beside other keywords are multiplied out to, at most.
    static let combinationLimit = 256
    /// Schemas within schemas that are read, each as often as it is multiplied out, at most.
    static let shapeLimit = 20_000
    /// How deep schemas may stand in each other where they are multiplied out.
    static let depthLimit = 96

    let root: JSONValue
    var rules = RuleSet()
    var json = JSONRules()
    /// Rules of schemas that are referred to, by place.
    private var references: [String: Int] = [:]
    private var waiting: [(rule: Int, part: SchemaNode.Part)] = []
    /// Schemas that are being read, with the rule of those that were met again meanwhile.
    private var underWay: [SchemaNode: Int?] = [:]
    /// Why something can have no value: the first reason is told when that makes the whole schema impossible.
    private var contradiction: String?
    private var shapes = 0
    /// Where `false` stood: told when there is no better reason.
    private var nothing: String?

    /// Reads a schema's text.
    static func read(_ text: String) throws -> RuleSet {
        guard text.utf8.count <= sizeLimit else {
            throw Problem.invalid("#: the schema has over \(sizeLimit) bytes; use a smaller one")
        }
        var reader = SchemaReader(root: try JSONValue(parsing: text, source: "the schema"))
        return try reader.read()
    }

    private init(root: JSONValue) { self.root = root }

    private mutating func read() throws -> RuleSet {
        rules.root = reference(.init(value: root, path: "#"))
        while let (rule, part) = waiting.popLast() {
            rules.bodies[rule] = try pattern(SchemaNode(parts: [part]))
        }
        if let contradiction = contradiction ?? nothing, case .never = rules.bodies[rules.root] {
            throw Problem.invalid("\(contradiction), so there can be no answer")
        }
        return rules
    }

    private mutating func reference(_ part: SchemaNode.Part) -> Int {
        if let known = references[part.path] { return known }
        let rule = rules.add("the schema at \(part.path)")
        references[part.path] = rule
        waiting.append((rule, part))
        return rule
    }

    /// There is no value at `path`.
    mutating func impossible(_ path: String, _ words: String) -> Pattern {
        if contradiction == nil { contradiction = "\(path): \(words)" }
        return .never
    }

    // MARK: Combining

    /// What conforms to a node.
    mutating func pattern(_ node: SchemaNode, depth: Int = 0) throws -> Pattern {
        guard depth < Self.depthLimit else {
            throw Problem.invalid("\(node.path): schemas stand in each other too deep; put some into $defs")
        }
        if let rule = underWay[node] {
            // Met again inside itself: from here on it is a rule of its own.
            let own = rule ?? rules.add("the schema at \(node.path)")
            underWay[node] = .some(own)
            return .rule(own)
        }
        underWay[node] = .some(nil)
        let found = try combined(node, depth)
        guard let rule = underWay.removeValue(forKey: node) ?? nil else { return found }
        rules.bodies[rule] = found
        return .rule(rule)
    }

    private mutating func combined(_ node: SchemaNode, _ depth: Int) throws -> Pattern {
        if node.parts.count == 1, let part = node.parts.first, let single = try alone(part, depth) { return single }
        var ways: [Pattern] = []
        for parts in try alternatives(of: node.parts, []) {
            shapes += 1
            guard shapes <= Self.shapeLimit else {
                throw Problem.invalid(
                    "\(node.path): over \(Self.shapeLimit) schemas when all alternatives are multiplied out; use fewer")
            }
            ways.append(try shaped(SchemaShape(parts, path: node.path), depth))
        }
        return .anyOf(ways)
    }

    /// A schema of which one combining keyword is all: nothing has to be multiplied out.
    private mutating func alone(_ part: SchemaNode.Part, _ depth: Int) throws -> Pattern? {
        let members = try keywords(of: part)
        guard members.count == 1, let (key, value) = members.first else { return nil }
        switch key {
        case "$ref": return .rule(reference(try resolve(value, part)))
        case "anyOf", "oneOf":
            var ways: [Pattern] = []
            for branch in try branches(key, value, part) {
                ways.append(try pattern(SchemaNode(parts: [branch]), depth: depth + 1))
            }
            return .anyOf(ways)
        case "allOf":
            let all = try branches(key, value, part)
            return all.count == 1 ? try pattern(SchemaNode(parts: all), depth: depth + 1) : nil
        default: return nil
        }
    }

    /// The keywords of a schema that count, after a look at those that are refused.
    private func keywords(of part: SchemaNode.Part) throws -> [(key: String, value: JSONValue)] {
        if part.value.bool == true { return [] }
        guard let members = part.value.members else {
            if part.value.bool == false { return [] }
            throw Problem.invalid("\(part.path): expected a schema (an object, true or false)")
        }
        for member in members {
            guard let advice = SchemaKeywords.refused[member.key] else { continue }
            if member.key == "patternProperties", member.value.members?.isEmpty == true { continue }
            throw Problem.invalid("\(part.path): \(member.key) is not supported; \(advice)")
        }
        return members.filter {
            SchemaKeywords.combining.contains($0.key) || SchemaKeywords.describing.contains($0.key)
        }.map { ($0.key, $0.value) }
    }

    private func branches(_ key: String, _ value: JSONValue, _ part: SchemaNode.Part) throws -> [SchemaNode.Part] {
        guard let list = value.elements, !list.isEmpty else {
            throw Problem.invalid("\(part.path)/\(key): expected an array of at least one schema")
        }
        return list.enumerated().map { part.child($1, key, "\($0)") }
    }

    /// Schemas that must hold together, multiplied out to alternatives of schemas without combining keywords.
    private mutating func alternatives(
        of parts: [SchemaNode.Part], _ open: Set<String>
    ) throws -> [[SchemaNode.Part]] {
        var found: [[SchemaNode.Part]] = [[]]
        func multiply(_ more: [[SchemaNode.Part]], _ path: String) throws {
            guard found.count * more.count <= Self.combinationLimit else {
                throw Problem.invalid("\(path): over \(Self.combinationLimit) combinations of alternatives; use fewer")
            }
            found = found.flatMap { a in more.map { a + $0 } }
        }
        for part in parts {
            if part.value.bool == false {
                nothing = nothing ?? "\(part.path): false permits nothing"
                return []
            }
            guard open.count < Self.depthLimit, !open.contains(part.path) else {
                throw Problem.invalid("\(part.path): refers to itself beside other keywords, which is not supported")
            }
            let inner = open.union([part.path])
            var hasOwn = false
            for (key, value) in try keywords(of: part) {
                switch key {
                case "$ref": try multiply(alternatives(of: [resolve(value, part)], inner), part.path)
                case "allOf": try multiply(alternatives(of: branches(key, value, part), inner), part.path)
                case "anyOf", "oneOf":
                    var sum: [[SchemaNode.Part]] = []
                    for branch in try branches(key, value, part) { sum += try alternatives(of: [branch], inner) }
                    try multiply(sum, part.path)
                default: hasOwn = true
                }
            }
            if hasOwn { try multiply([[part]], part.path) }
        }
        return found
    }

    /// The schema that a reference names.
    private func resolve(_ value: JSONValue, _ part: SchemaNode.Part) throws -> SchemaNode.Part {
        guard let text = value.string else { throw Problem.invalid("\(part.path)/$ref: expected a string") }
        guard text.first == "#" else {
            throw Problem.invalid(
                "\(part.path)/$ref: only references within the schema (#/...) are supported, found \(text)")
        }
        var found = root
        for step in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let key = Self.unescaped(step)
            if let member = found[key] {
                found = member
            } else if let index = Int(key), let elements = found.elements, elements.indices.contains(index) {
                found = elements[index]
            } else {
                throw Problem.invalid("\(part.path)/$ref: there is nothing at \(text)")
            }
        }
        guard text == "#" || text.hasPrefix("#/") else {
            throw Problem.invalid("\(part.path)/$ref: only references by place (#/...) are supported, found \(text)")
        }
        return SchemaNode.Part(value: found, path: text)
    }

    /// A step of a JSON pointer in a URI fragment.
    private static func unescaped(_ step: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(step.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest.removeFirst(2)
            } else if byte == UInt8(ascii: "~"), let next = rest.first, next == 0x30 || next == 0x31 {
                bytes.append(next == 0x30 ? UInt8(ascii: "~") : UInt8(ascii: "/"))
                rest.removeFirst()
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Types

    /// What conforms to schemas without combining keywords.
    private mutating func shaped(_ shape: SchemaShape, _ depth: Int) throws -> Pattern {
        if shape.values != nil { return try values(shape, depth) }
        guard let kinds = shape.kinds ?? (shape.mentioned.isEmpty ? nil : shape.mentioned) else {
            return json.value(&rules)
        }
        if kinds.isEmpty { return impossible(shape.path, "no type conforms to all of its schemas") }
        var ways: [Pattern] = []
        for kind in SchemaShape.Kind.allCases where kinds.contains(kind) {
            switch kind {
            case .null: ways.append(.text("null"))
            case .boolean: ways.append(.anyOf([.text("true"), .text("false")]))
            case .integer: if !kinds.contains(.number) { ways.append(try number(shape, isInteger: true)) }
            case .number: ways.append(try number(shape, isInteger: false))
            case .string: ways.append(try string(shape))
            case .array: ways.append(try array(shape, depth))
            case .object: ways.append(try object(shape, depth))
            }
        }
        return .anyOf(ways)
    }

    /// Those of a list of values that conform to the rest of the shape.
    private mutating func values(_ shape: SchemaShape, _ depth: Int) throws -> Pattern {
        var others = shape
        others.values = nil
        let hasRest = !shape.mentioned.isEmpty
        var ways: [Pattern] = []
        for value in shape.values ?? [] {
            let kind = value.kind
            guard shape.kinds.map({ $0.contains(kind) || (kind == .integer && $0.contains(.number)) }) ?? true else {
                continue
            }
            if hasRest {
                guard kind != .array, kind != .object else {
                    throw Problem.invalid(
                        "\(shape.path): enum or const of arrays and objects beside other keywords is not supported")
                }
                others.kinds = [kind]
                guard try Self.accepts(try shaped(others, depth), rules, value) else { continue }
            }
            ways.append(JSONText.value(value))
        }
        if ways.isEmpty { return impossible(shape.path, "none of the values of enum or const conforms to the rest") }
        return .anyOf(ways)
    }

    /// Whether a pattern accepts a value as it is written without spaces.
    private static func accepts(_ pattern: Pattern, _ rules: RuleSet, _ value: JSONValue) throws -> Bool {
        if case .never = pattern { return false }
        var rules = rules
        rules.root = rules.add("a value of enum")
        rules.bodies[rules.root] = pattern
        let automaton = Automaton(try Network(rules, source: "enum"))
        let end = automaton.walk(automaton.start, value.text().utf8)
        return end != Automaton.dead && automaton.accepts[Int(end)]
    }

    private mutating func number(_ shape: SchemaShape, isInteger: Bool) throws -> Pattern {
        var range = shape.range
        if isInteger, let format = shape.format, format.name == "int32",
            let low = Decimal("-2147483648"), let high = Decimal("2147483647")
        {
            range.raise(.init(value: low, isIncluded: true))
            range.cut(.init(value: high, isIncluded: true))
        }
        let pattern = isInteger ? range.integers() : try range.numbers(shape.path)
        if case .never = pattern { return impossible(shape.path, "no number is within its bounds") }
        return pattern
    }

    private mutating func string(_ shape: SchemaShape) throws -> Pattern {
        let hasLength = shape.lengths.least > 0 || shape.lengths.most != nil
        if let (text, path) = shape.pattern {
            guard !hasLength, shape.format == nil else {
                throw Problem.invalid(
                    "\(path): beside minLength, maxLength or format not supported; write the length into the pattern")
            }
            return JSONText.quoted(try RegexReader.read(text, source: path).pattern(JSONText.scalar))
        }
        if let (name, path) = shape.format {
            guard !hasLength else { throw Problem.invalid("\(path): beside minLength or maxLength not supported") }
            return JSONText.quoted(try StringFormats.pattern(name, path))
        }
        guard hasLength else { return json.string(&rules) }
        if let most = shape.lengths.most, most < shape.lengths.least {
            return impossible(shape.path, "minLength \(shape.lengths.least) is over maxLength \(most)")
        }
        return JSONText.quoted(
            .repeated(JSONText.countedCharacter, least: shape.lengths.least, most: shape.lengths.most))
    }
}
