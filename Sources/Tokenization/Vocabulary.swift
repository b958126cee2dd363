import Core

/// What a token id stands for.
enum TokenKind: UInt8, Sendable {
    /// Nothing: a gap or padding.
    case absent = 0
    /// Bytes that merging can produce.
    case normal = 1
    /// A control token: matched in trusted text only, gives no text.
    case special = 2
    /// A piece of text that is always one token and is never merged.
    case literal = 3
}

/// All tokens: their bytes one after the other, and a hash table from bytes to normal tokens.
struct Vocabulary: Sendable {
    /// More ids than this are refused: no model of the family has a fifth of it.
    static let countLimit = 1 << 20

    /// The bytes of all tokens in the order of their ids.
    private(set) var bytes: [UInt8] = []
    /// Where the bytes of token i begin; one more at the end.
    private(set) var starts: [Int] = [0]
    private(set) var kinds: [TokenKind] = []
    /// The longest normal token in bytes.
    private(set) var longest = 0
    /// Open addressing over the normal tokens: an id, or -1.
    private(set) var slots: [TokenID] = [-1]
    /// The normal tokens of one byte, or -1.
    private(set) var single = [TokenID](repeating: -1, count: 256)

    var count: Int { kinds.count }

    /// A vocabulary of `entries`, by id. Two normal tokens with the same bytes are refused: the second would be
    /// out of reach.
    init(_ entries: [(kind: TokenKind, bytes: ArraySlice<UInt8>)], source: String) throws {
        guard entries.count <= Self.countLimit else {
            throw Problem.invalid(
                "\(source): \(entries.count) token ids; at most \(Self.countLimit) are supported, the file is damaged")
        }
        kinds.reserveCapacity(entries.count)
        starts.reserveCapacity(entries.count + 1)
        var normal = 0
        for entry in entries {
            bytes += entry.bytes
            starts.append(bytes.count)
            kinds.append(entry.kind)
            if entry.kind == .normal { normal += 1 }
        }
        var size = 16
        while size < 2 * normal { size *= 2 }
        slots = [TokenID](repeating: -1, count: size)
        for (id, entry) in entries.enumerated() where entry.kind == .normal {
            let taken = try insert(TokenID(id), entry.bytes)
            if let taken {
                throw Problem.invalid("\(source): tokens \(taken) and \(id) have the same bytes; the file is damaged")
            }
            longest = max(longest, entry.bytes.count)
            if entry.bytes.count == 1, let byte = entry.bytes.first { single[Int(byte)] = TokenID(id) }
        }
    }

    private mutating func insert(_ id: TokenID, _ key: ArraySlice<UInt8>) throws -> TokenID? {
        var place = key.withUnsafeBufferPointer { Int(truncatingIfNeeded: Self.hash($0)) } & (slots.count - 1)
        while slots[place] >= 0 {
            if self[slots[place]].elementsEqual(key) { return slots[place] }
            place = (place + 1) & (slots.count - 1)
        }
        slots[place] = id
        return nil
    }

    /// Whether `id` stands for anything.
    func contains(_ id: TokenID) -> Bool { id >= 0 && Int(id) < count && kinds[Int(id)] != .absent }

    /// The bytes of a token; none for an id that stands for nothing.
    subscript(_ id: TokenID) -> ArraySlice<UInt8> {
        guard id >= 0, Int(id) < count else { return [] }
        return bytes[starts[Int(id)]..<starts[Int(id) + 1]]
    }

    func kind(of id: TokenID) -> TokenKind { id >= 0 && Int(id) < count ? kinds[Int(id)] : .absent }

    /// The normal token with these bytes.
    func token(_ key: [UInt8]) -> TokenID? {
        let id = key.withUnsafeBufferPointer { key in withView { $0.token(key) } }
        return id >= 0 ? id : nil
    }

    /// Runs `body` with pointers instead of arrays, for the loops that look up millions of spans.
    func withView<R>(_ body: (VocabularyView) throws -> R) rethrows -> R {
        try bytes.withUnsafeBufferPointer { bytes in
            try starts.withUnsafeBufferPointer { starts in
                try slots.withUnsafeBufferPointer { slots in
                    try single.withUnsafeBufferPointer { single in
                        try body(
                            VocabularyView(
                                bytes: bytes, starts: starts, slots: slots, single: single, longest: longest))
                    }
                }
            }
        }
    }

    @inline(__always)
    static func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var h: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key { h = (h ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return h ^ h >> 29
    }
}

/// A vocabulary's tables as pointers, valid inside `Vocabulary.withView`.
struct VocabularyView {
    let bytes: UnsafeBufferPointer<UInt8>
    let starts: UnsafeBufferPointer<Int>
    let slots: UnsafeBufferPointer<TokenID>
    let single: UnsafeBufferPointer<TokenID>
    let longest: Int

    /// The normal token with these bytes, or -1.
    func token(_ key: UnsafeBufferPointer<UInt8>) -> TokenID {
        guard key.count <= longest else { return -1 }
        var place = Int(truncatingIfNeeded: Vocabulary.hash(key)) & (slots.count - 1)
        while true {
            let id = slots[place]
            if id < 0 { return -1 }
            let start = starts[Int(id)]
            if starts[Int(id) + 1] - start == key.count, equal(key, at: start) { return id }
            place = (place + 1) & (slots.count - 1)
        }
    }

    private func equal(_ key: UnsafeBufferPointer<UInt8>, at start: Int) -> Bool {
        for i in 0..<key.count where key[i] != bytes[start + i] { return false }
        return true
    }
}
