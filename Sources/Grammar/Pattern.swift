/// What a text may look like, over bytes: the form that every notation is turned into.
indirect enum Pattern: Hashable, Sendable {
    /// Something that follows others in a list.
    struct Item: Hashable, Sendable {
        var pattern: Pattern
        /// Whether it must be there.
        var isRequired = false
        /// Whether it may be there more than once.
        var repeats = false
    }

    /// Nothing at all, not even the empty text.
    case never
    /// One byte of a set.
    case bytes(ByteSet)
    /// These bytes.
    case text([UInt8])
    /// One after the other; the empty text when there are none.
    case sequence([Pattern])
    /// One of them.
    case choice([Pattern])
    /// The first so many of them, one after the other; none, some or all.
    case prefix([Pattern])
    /// At least and at most so many times; nil: any number.
    case repeated(Pattern, least: Int, most: Int?)
    /// Those items of a list that are there, in order, with a separator between any two.
    case list([Item], separator: Pattern)
    /// Another rule of the grammar.
    case rule(Int)

    static let empty = Pattern.sequence([])

    static func text(_ text: String) -> Pattern { .text(Array(text.utf8)) }

    /// One after the other, simplified.
    static func all(_ parts: [Pattern]) -> Pattern {
        var flat: [Pattern] = []
        for part in parts {
            switch part {
            case .never: return .never
            case .sequence(let inner): flat += inner
            default: flat.append(part)
            }
        }
        return flat.count == 1 ? flat[0] : .sequence(flat)
    }

    /// One of them, simplified.
    static func anyOf(_ parts: [Pattern]) -> Pattern {
        var flat: [Pattern] = []
        for part in parts {
            switch part {
            case .never: continue
            case .choice(let inner): flat += inner
            default: flat.append(part)
            }
        }
        return flat.isEmpty ? .never : flat.count == 1 ? flat[0] : .choice(flat)
    }

    /// It or nothing.
    var optional: Pattern { .repeated(self, least: 0, most: 1) }

    /// How many automaton nodes it takes, about; no more than `limit` are counted.
    func size(limit: Int) -> Int {
        switch self {
        case .never: return 0
        case .bytes, .rule: return 1
        case .text(let bytes): return bytes.count
        case .sequence(let parts), .choice(let parts), .prefix(let parts):
            var sum = 1
            for part in parts where sum < limit { sum += part.size(limit: limit - sum) }
            return sum
        case .repeated(let part, let least, let most):
            let (product, overflow) = part.size(limit: limit).multipliedReportingOverflow(by: max(most ?? least + 1, 1))
            return overflow ? limit : min(limit, 1 + product)
        case .list(let items, let separator):
            let each = separator.size(limit: limit) + 2
            var sum = 1
            for item in items where sum < limit { sum += each + item.pattern.size(limit: limit - sum) }
            return sum
        }
    }

    /// The rules that it names.
    func collectRules(into found: inout Set<Int>) {
        switch self {
        case .never, .bytes, .text: break
        case .rule(let rule): found.insert(rule)
        case .sequence(let parts), .choice(let parts), .prefix(let parts):
            for part in parts { part.collectRules(into: &found) }
        case .repeated(let part, _, _): part.collectRules(into: &found)
        case .list(let items, let separator):
            separator.collectRules(into: &found)
            for item in items { item.pattern.collectRules(into: &found) }
        }
    }

    /// The same with rules exchanged for what they stand for.
    func replacingRules(_ replacement: (Int) -> Pattern) -> Pattern {
        switch self {
        case .never, .bytes, .text: self
        case .rule(let rule): replacement(rule)
        case .sequence(let parts): .all(parts.map { $0.replacingRules(replacement) })
        case .choice(let parts): .anyOf(parts.map { $0.replacingRules(replacement) })
        case .prefix(let parts): .prefix(parts.map { $0.replacingRules(replacement) })
        case .repeated(let part, let least, let most):
            .repeated(part.replacingRules(replacement), least: least, most: most)
        case .list(let items, let separator):
            .list(
                items.map {
                    Item(
                        pattern: $0.pattern.replacingRules(replacement), isRequired: $0.isRequired, repeats: $0.repeats)
                }, separator: separator.replacingRules(replacement))
        }
    }
}
