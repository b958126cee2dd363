import Core

/// The first frame of a message between workers: 48 little-endian bytes that say what the tensors after it are.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic, `GLMD` |
/// | 4 | 2 | protocol |
/// | 6 | 1 | kind |
/// | 7 | 1 | element type, 0 = f32 |
/// | 8 | 4 | epoch |
/// | 12 | 4 | sequence |
/// | 16 | 8 | step |
/// | 24 | 2 | stage of the sender |
/// | 26 | 2 | rank of the sender |
/// | 28 | 2 | the leaves summed: first, end |
/// | 30 | 2 | parts |
/// | 32 | 8 | elements of each part |
/// | 40 | 8 | zero |
///
/// Every part is one frame of `elements` f32. Whatever contradicts that is refused before anybody reads a tensor.
public struct DataHeader: Hashable, Sendable {
    /// What travels.
    public enum Kind: UInt8, Sendable, CaseIterable {
        /// Hidden states from one stage to the next.
        case hidden = 1
        /// Partial sums: the roots of the complete subtrees of leaves that the sender owns.
        case roots = 2
        /// Rows of logits, or candidates for the next token.
        case logits = 3
        /// Queries, or partial results of attention, from one rank for another.
        case attention = 4
        /// A ring in shared memory that the sender will write to: process in `sequence`, file in `elements`, number in `step`.
        case ring = 5
        /// There is something in such a ring.
        case wake = 6
        /// What measures the link; it goes only to workers that have said that they know it.
        case probe = 7

        /// Whether it is for whoever computes, and not for the link itself.
        var isTensor: Bool { self != .ring && self != .wake }
    }

    /// What travels.
    public var kind: Kind
    /// The plan.
    public var epoch: UInt32
    /// The step.
    public var step: UInt64
    /// Which exchange of the step, counted as both sides agree: layer and place in the layer, say.
    public var sequence: UInt32
    /// The sender's stage.
    public var stage: UInt16
    /// The sender's rank.
    public var rank: UInt16
    /// The leaves that the parts are sums of; 0..<0 where that has no meaning.
    public var leaves: Range<Int>
    /// Frames that follow.
    public var parts: Int
    /// f32 elements in each of those frames.
    public var elements: Int

    /// A header.
    public init(
        kind: Kind, epoch: UInt32, step: UInt64, sequence: UInt32, stage: Int, rank: Int, leaves: Range<Int> = 0..<0,
        parts: Int, elements: Int
    ) {
        self.kind = kind
        self.epoch = epoch
        self.step = step
        self.sequence = sequence
        self.stage = UInt16(truncatingIfNeeded: stage)
        self.rank = UInt16(truncatingIfNeeded: rank)
        self.leaves = leaves
        self.parts = parts
        self.elements = elements
    }

    /// What a receiver waits for.
    public var key: DataKey {
        DataKey(kind: kind, epoch: epoch, step: step, sequence: sequence, stage: Int(stage), rank: Int(rank))
    }

    /// Bytes of a header.
    public static let byteCount = 48
    /// The version in bytes 4 and 5; another one is refused.
    public static let version: UInt16 = 2
    /// Frames a message may have besides the header.
    public static let mostParts = 64
    static let magic: UInt32 = 0x444d_4c47

    /// Writes the header to the first 48 bytes of `to`.
    public func encode(into to: UnsafeMutableRawBufferPointer) {
        precondition(to.count >= Self.byteCount)
        func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
            to.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        put(Self.magic, 0)
        put(Self.version, 4)
        put(kind.rawValue, 6)
        put(UInt8(0), 7)
        put(epoch, 8)
        put(sequence, 12)
        put(step, 16)
        put(stage, 24)
        put(rank, 26)
        put(UInt8(truncatingIfNeeded: leaves.lowerBound), 28)
        put(UInt8(truncatingIfNeeded: leaves.upperBound), 29)
        put(UInt16(truncatingIfNeeded: parts), 30)
        put(UInt64(truncatingIfNeeded: elements), 32)
        put(UInt64(0), 40)
    }

    /// Reads a header, or throws when `bytes` is none that this program understands.
    public init(decoding bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count == Self.byteCount else {
            throw Problem.invalid("data header: expected \(Self.byteCount) bytes, got \(bytes.count)")
        }
        func get<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        guard get(0, UInt32.self) == Self.magic else {
            throw Problem.invalid("data header: it does not begin with GLMD")
        }
        let version = get(4, UInt16.self)
        guard version == Self.version else {
            throw Problem.refused(
                "data header: the peer speaks version \(version), this worker \(Self.version); run the same release on both"
            )
        }
        guard let kind = Kind(rawValue: get(6, UInt8.self)), get(7, UInt8.self) == 0, get(40, UInt64.self) == 0 else {
            throw Problem.invalid("data header: a kind or element type that this worker does not know")
        }
        let (first, end) = (Int(get(28, UInt8.self)), Int(get(29, UInt8.self)))
        let parts = Int(get(30, UInt16.self))
        guard first <= end, end <= Leaves.count, parts <= Self.mostParts else {
            throw Problem.invalid("data header: leaves \(first)..<\(end) in \(parts) parts are not possible")
        }
        guard let elements = Int(exactly: get(32, UInt64.self)), elements <= Int.max / 4 else {
            throw Problem.invalid("data header: more elements than memory has bytes")
        }
        self.init(
            kind: kind, epoch: get(8, UInt32.self), step: get(16, UInt64.self), sequence: get(12, UInt32.self),
            stage: Int(get(24, UInt16.self)), rank: Int(get(26, UInt16.self)), leaves: first..<end, parts: parts,
            elements: elements)
    }
}

/// Which message a receiver waits for.
public struct DataKey: Hashable, Sendable {
    /// What travels.
    public var kind: DataHeader.Kind
    /// The plan.
    public var epoch: UInt32
    /// The step.
    public var step: UInt64
    /// Which exchange of the step.
    public var sequence: UInt32
    /// The sender's stage.
    public var stage: Int
    /// The sender's rank.
    public var rank: Int

    /// A key.
    public init(kind: DataHeader.Kind, epoch: UInt32, step: UInt64, sequence: UInt32, stage: Int, rank: Int) {
        self.kind = kind
        self.epoch = epoch
        self.step = step
        self.sequence = sequence
        self.stage = stage
        self.rank = rank
    }
}
