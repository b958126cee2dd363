import Core

extension Tokenizer {
    /// "GLMT" and the version of the form.
    private static let magic: [UInt8] = [0x47, 0x4C, 0x4D, 0x54, 1]

    /// The tokenizer as bytes: what a coordinator sends to a gateway.
    ///
    /// Numbers are LEB128. Magic, pattern, rule, template, ends, tokens (length times four plus kind, then bytes),
    /// and for a merge list its pairs with their results.
    public func serialized() -> [UInt8] {
        var out = ByteWriter()
        out.bytes = Self.magic
        out.bytes.append(pattern.rawValue)
        out.string(template.rawValue)
        out.number(stopTokens.count)
        for id in stopTokens.sorted() { out.number(Int(id)) }
        out.number(vocabulary.count)
        for id in 0..<TokenID(vocabulary.count) {
            let bytes = vocabulary[id]
            out.number(bytes.count << 2 | Int(vocabulary.kind(of: id).rawValue))
            out.bytes += bytes
        }
        switch rule {
        case .ranks: out.number(0)
        case .list(let list, let wholePieces):
            out.number(wholePieces ? 2 : 1)
            out.number(list.merges.count)
            for merge in list.merges {
                out.number(Int(merge.left))
                out.number(Int(merge.right))
                out.number(Int(merge.result))
            }
        }
        return out.bytes
    }

    /// Reads what `serialized` wrote. Nothing is trusted: damaged bytes are refused.
    public init(serialized bytes: [UInt8]) throws {
        guard bytes.starts(with: Self.magic) else {
            throw Problem.invalid(
                "the tokenizer's bytes begin with a wrong mark; both ends must run one version of glm")
        }
        var reader = ByteReader(bytes: bytes, at: Self.magic.count)
        guard let pattern = Pattern(rawValue: try reader.byte()) else { throw ByteReader.damaged }
        guard let template = ChatTemplate(rawValue: try reader.string()) else { throw ByteReader.damaged }
        var ends: [Int] = []
        for _ in 0..<(try reader.count()) { ends.append(try reader.number()) }
        let count = try reader.count()
        var entries: [(kind: TokenKind, bytes: ArraySlice<UInt8>)] = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let head = try reader.number()
            guard let kind = TokenKind(rawValue: UInt8(head & 3)) else { throw ByteReader.damaged }
            entries.append((kind, try reader.slice(head >> 2)))
        }
        let vocabulary = try Vocabulary(entries, source: "the tokenizer's bytes")
        let rule: MergeRule
        switch try reader.number() {
        case 0: rule = .ranks
        case let form where form <= 2:
            var merges: [MergeList.Merge] = []
            for _ in 0..<(try reader.count()) {
                merges.append(
                    MergeList.Merge(
                        left: try reader.token(below: count), right: try reader.token(below: count),
                        result: try reader.token(below: count)))
            }
            rule = .list(MergeList(merges), wholePieces: form == 2)
        default: throw ByteReader.damaged
        }
        guard reader.at == bytes.count else { throw ByteReader.damaged }
        self.init(vocabulary: vocabulary, pattern: pattern, rule: rule, ends: ends, template: template)
    }
}

private struct ByteWriter {
    var bytes: [UInt8] = []

    mutating func number(_ value: Int) {
        var rest = UInt64(value)
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func string(_ text: String) {
        number(text.utf8.count)
        bytes += text.utf8
    }
}

private struct ByteReader {
    static let damaged = Problem.invalid("the tokenizer's bytes are damaged; send them again")

    let bytes: [UInt8]
    var at: Int

    mutating func byte() throws -> UInt8 {
        guard at < bytes.count else { throw Self.damaged }
        at += 1
        return bytes[at - 1]
    }

    mutating func number() throws -> Int {
        var value = 0
        for shift in stride(from: 0, to: 42, by: 7) {
            let next = try byte()
            value |= Int(next & 0x7F) << shift
            if next < 0x80 { return value }
        }
        throw Self.damaged
    }

    /// A number of things of at least one byte each, so never more than there are bytes.
    mutating func count() throws -> Int {
        let value = try number()
        guard value <= bytes.count - at else { throw Self.damaged }
        return value
    }

    mutating func token(below limit: Int) throws -> Int32 {
        let value = try number()
        guard value < limit, let token = Int32(exactly: value) else { throw Self.damaged }
        return token
    }

    mutating func slice(_ length: Int) throws -> ArraySlice<UInt8> {
        guard length <= bytes.count - at else { throw Self.damaged }
        at += length
        return bytes[at - length..<at]
    }

    mutating func string() throws -> String { String(decoding: try slice(try number()), as: UTF8.self) }
}
