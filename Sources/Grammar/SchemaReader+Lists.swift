import Core

/// Arrays and objects.
extension SchemaReader {
    /// Elements larger than this are laid down once, as a rule, and not as often as there may be elements.
    private static let largeElement = 40

    mutating func array(_ shape: SchemaShape, _ depth: Int) throws -> Pattern {
        let (least, most) = shape.items
        if let most, most < least { return impossible(shape.path, "minItems \(least) is over maxItems \(most)") }
        let prefixCount = shape.elements.map(\.prefix.count).max() ?? 0
        var prefix: [Pattern] = []
        for place in 0..<min(prefixCount, most ?? .max) {
            let parts = shape.elements.compactMap { place < $0.prefix.count ? $0.prefix[place] : $0.others }
            let pattern = try element(parts, depth)
            // What comes behind an element that cannot be is never reached.
            if case .never = pattern { break }
            prefix.append(pattern)
        }
        var others = try element(shape.elements.compactMap(\.others), depth)
        if prefix.count < min(prefixCount, most ?? .max) { others = .never }
        let left = most.map { max($0 - prefix.count, 0) }
        let isClosed = if case .never = others { true } else { left == 0 }
        if isClosed, prefix.count < least {
            return impossible(shape.path, "minItems is \(least), but only \(prefix.count) elements are possible")
        }
        if !isClosed, others.size(limit: Self.largeElement + 1) > Self.largeElement {
            let rule = rules.add("the elements at \(shape.path)")
            rules.bodies[rule] = others
            others = .rule(rule)
        }
        let tail: Pattern
        if isClosed {
            tail = .empty
        } else {
            let after = max(least - prefix.count, 0)
            let following = Pattern.all([JSONText.comma, others])
            if prefix.isEmpty {
                let some = Pattern.all([
                    others, .repeated(following, least: max(after - 1, 0), most: left.map { $0 - 1 }),
                ])
                tail = after > 0 ? some : some.optional
            } else {
                tail = .repeated(following, least: after, most: left)
            }
        }
        return JSONText.bracketed("[", Self.row(prefix, required: least, tail: tail), "]")
    }

    /// Elements one after the other, of which the first `required` must be there; `tail` follows only where all of them are.
    private static func row(_ elements: [Pattern], required: Int, tail: Pattern) -> Pattern {
        guard !elements.isEmpty else { return tail }
        let separated = elements.enumerated().map { $0 == 0 ? $1 : Pattern.all([JSONText.comma, $1]) }
        let needed = min(required, separated.count)
        if needed == separated.count { return .all(separated + [tail]) }
        var optional = Array(separated[needed...])
        optional[optional.count - 1] = .all([optional[optional.count - 1], tail])
        return .all(Array(separated[..<needed]) + [.prefix(optional)])
    }

    private mutating func element(_ parts: [SchemaNode.Part], _ depth: Int) throws -> Pattern {
        parts.isEmpty ? json.value(&rules) : try pattern(SchemaNode(parts: parts), depth: depth + 1)
    }

    mutating func object(_ shape: SchemaShape, _ depth: Int) throws -> Pattern {
        var keys: [String] = []
        for members in shape.members {
            for (key, _) in members.properties where !keys.contains(key) { keys.append(key) }
        }
        let declared = keys.count
        keys += shape.required.filter { !keys.contains($0) }
        let additional = shape.members.compactMap(\.additional)
        var items: [Pattern.Item] = []
        for (index, key) in keys.enumerated() {
            let parts = shape.members.compactMap { members in
                members.properties.first { $0.key == key }?.part ?? members.additional
            }
            let value = try element(parts, depth)
            let isRequired = shape.required.contains(key)
            if case .never = value {
                guard isRequired else { continue }
                return impossible(
                    shape.path,
                    "the required property \(key) can have no value"
                        + (index >= declared ? ": properties does not name it and no others are permitted" : ""))
            }
            items.append(.init(pattern: .all([JSONText.string(key), JSONText.colon, value]), isRequired: isRequired))
        }
        // Nothing said: an object that names properties has those, one that names none may have any.
        let isOpen = additional.isEmpty ? declared == 0 : !additional.contains { $0.value.bool == false }
        let (least, most) = shape.memberCounts
        let required = shape.required.count
        if least > max(required, isOpen && items.isEmpty ? 1 : 0) {
            throw Problem.invalid(
                "\(shape.path): minProperties over the number of required properties is not supported")
        }
        if isOpen, items.isEmpty {
            if most == 0 { return JSONText.bracketed("{", .empty, "}") }
            if additional.isEmpty, least == 0, most == nil { return json.object(&rules) }
            let value = try element(additional, depth)
            let member = Pattern.all([json.string(&rules), JSONText.colon, value])
            let following = Pattern.repeated(.all([JSONText.comma, member]), least: 0, most: most.map { $0 - 1 })
            let some = Pattern.all([member, following])
            return JSONText.bracketed("{", least > 0 ? some : some.optional, "}")
        }
        if let most, isOpen || most < items.count {
            throw Problem.invalid("\(shape.path): maxProperties beside properties is not supported")
        }
        if isOpen {
            guard keys.allSatisfy({ $0.utf8.count <= 256 }) else {
                throw Problem.invalid(
                    "\(shape.path): additionalProperties beside a key of over 256 bytes is not supported")
            }
            let value = try element(additional, depth)
            if case .never = value {
            } else {
                let rule = rules.add("the keys at \(shape.path)")
                rules.bodies[rule] = JSONText.key(except: keys)
                rules.kept.insert(rule)
                items.append(.init(pattern: .all([.rule(rule), JSONText.colon, value]), repeats: true))
            }
        }
        return JSONText.bracketed("{", .list(items, separator: JSONText.comma), "}")
    }
}
