// How weights lie in memory: panels of 16 rows, blocks of 32 columns inside a panel, the same for every instruction set.
//
// A panel holds its rows side by side, so that vector lanes run over rows and never over K. A block of 32 columns is:
// f32, bf16, f16   for each column 16 values
// q8               for k in 0..<8, for each row the 4 bytes of columns 4k..<4k+4; then 16 scales (f16)
// q4               for k in 0..<4, for each row 4 bytes: low nibbles columns 8k..<8k+4, high nibbles 8k+4..<8k+8; then 16 scales
// q4m              as q4, then 16 minima (f16)
// q5, q5m          nibbles as q4; for each row 4 bytes: bit k of byte c is bit 4 of column 4k+c; then as q4 and q4m
// q4k, q5k         quants as q4 and q5; then 16 scales and 16 minima, unsigned bytes
// q6k              nibbles as q4; for h in 0..<2, for each row 4 bytes: bits 2k and 2k+1 of byte c are bits 4 and 5 of column
//                  16h+4k+c; then 16 scales of columns 0..<16 and 16 of columns 16..<32, signed bytes
// Scales sit behind their block, so that decode reads one stream. Missing columns and rows are zero weights.
//
// Eight blocks of the last three are a superblock. Before it stand what its scales and minima are multiplied by, f16: 16 for
// scales and, but for q6k, 16 for minima, those with their sign turned, so that a weight is always scale x quant + minimum.
// Superblocks are those of the file: the columns of a rank may begin within one, and then its first blocks are skipped.

public import Core

/// A matrix of weights in panels, in memory that somebody else keeps.
public struct PanelMatrix: @unchecked Sendable {  // read only
    /// How the weights are held.
    public let type: WeightType
    /// Rows of the matrix: outputs of a product.
    public let rows: Int
    /// Columns of the matrix: the length of an activation.
    public let columns: Int
    /// The first panel.
    public let base: UnsafeRawPointer
    /// Blocks of the first superblock that come before column 0; 0 for types without superblocks.
    public let skippedBlocks: Int

    /// Rows of a panel.
    public static let panelRows = 16
    /// Columns of a block.
    public static let blockColumns = 32

    /// A matrix whose panels, `panelBytes(type:columns:skippedBlocks:)` each, are at `base` (64-byte aligned is fastest, any
    /// address works). `skippedBlocks` counts for types with superblocks only.
    public init(type: WeightType, rows: Int, columns: Int, base: UnsafeRawPointer, skippedBlocks: Int = 0) {
        self.type = type
        self.rows = rows
        self.columns = columns
        self.base = base
        self.skippedBlocks = type.factorBytes == 0 ? 0 : skippedBlocks
    }

    /// Panels of the matrix; the last may be partly empty.
    public var panelCount: Int { (rows + PanelMatrix.panelRows - 1) / PanelMatrix.panelRows }

    /// Bytes of one panel: a multiple of 64.
    public static func panelBytes(type: WeightType, columns: Int, skippedBlocks: Int = 0) -> Int {
        var bytes = blockCount(columns) * type.panelBlockBytes
        if type.factorBytes > 0 {
            let superblocks = (skippedBlocks + blockCount(columns) + 7) / 8
            bytes = superblocks * (type.factorBytes + 8 * type.panelBlockBytes)
        }
        return (bytes + 63) / 64 * 64
    }

    /// Bytes of a whole matrix that skips no blocks.
    public static func byteCount(type: WeightType, rows: Int, columns: Int) -> Int {
        (rows + panelRows - 1) / panelRows * panelBytes(type: type, columns: columns)
    }

    /// The first byte of panel `panel`.
    func panel(_ panel: Int) -> UnsafeRawPointer {
        base + panel * PanelMatrix.panelBytes(type: type, columns: columns, skippedBlocks: skippedBlocks)
    }
}

extension WeightType {
    /// Bytes of 16 rows by 32 columns, scales included.
    var panelBlockBytes: Int {
        switch self {
        case .q4m, .q5m: quantBytes + 64
        default: isInteger ? quantBytes + 32 : quantBytes
        }
    }

    /// Bytes of 16 rows by 32 columns without scales.
    var quantBytes: Int {
        switch self {
        case .f32: 2048
        case .bf16, .f16: 1024
        case .q8: 512
        case .q4, .q4m, .q4k: 256
        case .q5, .q5m, .q5k: 320
        case .q6k: 384
        }
    }

    /// Bytes before the eight blocks of a superblock; 0 for types that have none.
    var factorBytes: Int {
        switch self {
        case .q4k, .q5k: 64
        case .q6k: 32
        default: 0
        }
    }

    /// Where a block of a panel begins, and where its superblock does; `index` counts skipped blocks too.
    func offsets(ofBlock index: Int) -> (block: Int, superblock: Int) {
        if factorBytes == 0 { return (index * panelBlockBytes, 0) }
        let superblock = index / 8 * (factorBytes + 8 * panelBlockBytes)
        return (superblock + factorBytes + index % 8 * panelBlockBytes, superblock)
    }
}

/// How a checkpoint stores the rows of a matrix.
public enum StoredFormat: UInt8, Sendable, CaseIterable {
    /// 32-bit floats.
    case f32
    /// Upper halves of 32-bit floats.
    case bf16
    /// IEEE half precision.
    case f16
    /// GGUF's blocks of 32 signed bytes and a scale.
    case q8_0
    /// GGUF's blocks of 32 nibbles, minus eight, and a scale.
    case q4_0
    /// GGUF's blocks of 32 nibbles with scale and minimum.
    case q4_1
    /// GGUF's blocks of 32 times five bits, minus sixteen, and a scale.
    case q5_0
    /// GGUF's blocks of 32 times five bits with scale and minimum.
    case q5_1
    /// GGUF's blocks of 256 nibbles, 32 to a scale and minimum.
    case q4_k
    /// GGUF's blocks of 256 times five bits, 32 to a scale and minimum.
    case q5_k
    /// GGUF's blocks of 256 times six bits, minus 32, 16 to a scale.
    case q6_k

    /// Elements of a row that are stored together (of floats any number could be).
    public var blockColumns: Int {
        switch self {
        case .q4_k, .q5_k, .q6_k: 256
        default: 32
        }
    }

    /// Bytes of `blockColumns` consecutive elements of a row.
    public var blockBytes: Int {
        switch self {
        case .f32: 128
        case .bf16, .f16: 64
        case .q8_0: 34
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q4_k: 144
        case .q5_k: 176
        case .q6_k: 210
        }
    }

    /// The type in memory that keeps such values as they are.
    public var weightType: WeightType {
        switch self {
        case .f32: .f32
        case .bf16: .bf16
        case .f16: .f16
        case .q8_0: .q8
        case .q4_0: .q4
        case .q4_1: .q4m
        case .q5_0: .q5
        case .q5_1: .q5m
        case .q4_k: .q4k
        case .q5_k: .q5k
        case .q6_k: .q6k
        }
    }
}
