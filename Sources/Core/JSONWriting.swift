/// How JSON text is laid out.
public enum JSONStyle: Sendable {
    /// No spaces at all, numbers as they were spelled.
    case compact
    /// As Python's `json.dumps(value, ensure_ascii=False)`.
    case python
    /// As Python's `json.dumps(value, ensure_ascii=False, indent=4)`.
    case pythonIndented
}

extension JSONValue {
    /// The value as JSON text.
    public func text(_ style: JSONStyle = .compact) -> String {
        var out: [UInt8] = []
        write(to: &out, style, level: 0)
        return String(decoding: out, as: UTF8.self)
    }

    private func write(to out: inout [UInt8], _ style: JSONStyle, level: Int) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .number(let text):
            if case .compact = style { out += text.utf8 } else { out += Self.pythonNumber(text).utf8 }
        case .string(let text): Self.write(text, to: &out)
        case .array(let elements):
            Self.writeList(elements, between: ("[", "]"), to: &out, style, level: level) { element, out in
                element.write(to: &out, style, level: level + 1)
            }
        case .object(let members):
            Self.writeList(members, between: ("{", "}"), to: &out, style, level: level) { member, out in
                Self.write(member.key, to: &out)
                if case .compact = style { out += ":".utf8 } else { out += ": ".utf8 }
                member.value.write(to: &out, style, level: level + 1)
            }
        }
    }

    private static func writeList<T>(
        _ list: [T], between brackets: (String, String), to out: inout [UInt8], _ style: JSONStyle, level: Int,
        _ write: (T, inout [UInt8]) -> Void
    ) {
        out += brackets.0.utf8
        for (index, item) in list.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            switch style {
            case .compact: break
            case .python: if index > 0 { out.append(0x20) }
            case .pythonIndented: breakLine(to: &out, level: level + 1)
            }
            write(item, &out)
        }
        if case .pythonIndented = style, !list.isEmpty { breakLine(to: &out, level: level) }
        out += brackets.1.utf8
    }

    private static func breakLine(to out: inout [UInt8], level: Int) {
        out.append(0x0A)
        out.append(contentsOf: repeatElement(0x20, count: 4 * level))
    }

    private static func write(_ text: String, to out: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += "\\\"".utf8
            case UInt8(ascii: "\\"): out += "\\\\".utf8
            case 0x0A: out += "\\n".utf8
            case 0x0D: out += "\\r".utf8
            case 0x09: out += "\\t".utf8
            case 0x08: out += "\\b".utf8
            case 0x0C: out += "\\f".utf8
            case 0..<0x20:
                out += "\\u00".utf8
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    /// A number as Python prints it after reading it: integers keep their digits, others become the shortest
    /// spelling of the nearest double.
    static func pythonNumber(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }) else {
            return text == "-0" ? "0" : text
        }
        guard let value = Double(text) else { return text }
        let sign = value.sign == .minus ? "-" : ""
        guard value.isFinite else { return sign + "Infinity" }
        guard value != 0 else { return sign + "0.0" }
        // Swift prints the same shortest digits as Python, only the choice between 1e+16 and digits differs.
        let parts = value.magnitude.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = Array(mantissa[0].utf8)
        let fraction = mantissa.count > 1 ? Array(mantissa[1].utf8) : []
        var digits = whole + fraction
        // The value is 0.DIGITS times ten to the power `point`.
        var point = whole.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        while digits.count > 1, digits.first == UInt8(ascii: "0") {
            digits.removeFirst()
            point -= 1
        }
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        let string = String(decoding: digits, as: UTF8.self)
        let exponent = point - 1
        if exponent < -4 || exponent >= 16 {
            let tail = digits.count > 1 ? "." + string.dropFirst() : ""
            let power = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return sign + string.prefix(1) + tail + (exponent < 0 ? "e-" : "e+") + power
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + string }
        if point >= digits.count { return sign + string + String(repeating: "0", count: point - digits.count) + ".0" }
        return sign + string.prefix(point) + "." + string.dropFirst(point)
    }
}
