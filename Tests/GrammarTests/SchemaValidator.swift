import Core

/// Says whether a value conforms to a JSON Schema: the specification keyword by keyword, knowing nothing of automata.
///
/// The slow and obvious twin of the schema reader. Keywords that the reader refuses are not here.
struct SchemaValidator {
    let root: JSONValue

    func conforms(_ value: JSONValue, _ schema: JSONValue? = nil) -> Bool {
        let schema = schema ?? root
        if let flag = schema.bool { return flag }
        for (key, rule) in (schema.members ?? []).map({ ($0.key, $0.value) }) where !holds(key, rule, schema, value) {
            return false
        }
        return true
    }

    private func holds(_ key: String, _ rule: JSONValue, _ schema: JSONValue, _ value: JSONValue) -> Bool {
        switch key {
        case "$ref": return conforms(value, target(rule.string ?? ""))
        case "type":
            let nullable = schema["nullable"]?.bool == true && value.isNull
            return nullable || (rule.elements ?? [rule]).contains { has(value, type: $0.string ?? "") }
        case "enum": return rule.elements?.contains { same($0, value) } ?? false
        case "const": return same(rule, value)
        case "allOf": return rule.elements?.allSatisfy { conforms(value, $0) } ?? false
        case "anyOf", "oneOf": return rule.elements?.contains { conforms(value, $0) } ?? false
        default: break
        }
        if let number = value.double, let bound = rule.double {
            switch key {
            case "minimum": return number >= bound
            case "maximum": return number <= bound
            case "exclusiveMinimum": return number > bound
            case "exclusiveMaximum": return number < bound
            case "multipleOf":
                let quotient = number / bound
                return abs(quotient - quotient.rounded()) < 1e-6
            default: break
            }
        }
        if let text = value.string {
            let count = text.unicodeScalars.count
            switch key {
            case "minLength": return count >= rule.integer ?? 0
            case "maxLength": return count <= rule.integer ?? .max
            case "pattern":
                guard let text = rule.string, let regex = try? Regex(text) else { return false }
                return value.string?.firstMatch(of: regex) != nil
            default: break
            }
        }
        if let elements = value.elements {
            let prefix = schema["prefixItems"]?.elements ?? []
            switch key {
            case "minItems": return elements.count >= rule.integer ?? 0
            case "maxItems": return elements.count <= rule.integer ?? .max
            case "prefixItems": return zip(elements, prefix).allSatisfy { conforms($0, $1) }
            case "items": return elements.dropFirst(prefix.count).allSatisfy { conforms($0, rule) }
            default: break
            }
        }
        if let members = value.members {
            switch key {
            case "required": return rule.elements?.allSatisfy { value[$0.string ?? ""] != nil } ?? false
            case "maxProperties": return members.count <= rule.integer ?? .max
            case "minProperties": return members.count >= rule.integer ?? 0
            case "properties":
                return members.allSatisfy { member in rule[member.key].map { conforms(member.value, $0) } ?? true }
            case "additionalProperties":
                return members.allSatisfy { member in
                    schema["properties"]?[member.key] != nil || conforms(member.value, rule)
                }
            default: break
            }
        }
        return true
    }

    private func has(_ value: JSONValue, type: String) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object),
            ("number", .number):
            true
        case ("integer", .number(let text)): (Double(text) ?? 0.5).rounded() == Double(text)
        default: false
        }
    }

    private func same(_ a: JSONValue, _ b: JSONValue) -> Bool {
        switch (a, b) {
        case (.number, .number): return a.double == b.double
        case (.array(let x), .array(let y)): return x.count == y.count && zip(x, y).allSatisfy { same($0, $1) }
        case (.object(let x), .object(let y)):
            return x.count == y.count && x.allSatisfy { one in b[one.key].map { same(one.value, $0) } ?? false }
        default: return a == b
        }
    }

    private func target(_ reference: String) -> JSONValue {
        reference.split(separator: "/").dropFirst().reduce(root) { $0[String($1)] ?? .bool(false) }
    }
}
