// How weights lie in memory: panels of 16 rows, blocks of 32 columns inside a panel, the same for every instruction set.
//
// A panel holds its rows side by side, so that vector lanes run over rows and never over K. A block of 32 columns is:
// f32, bf16, f16   for each column 16 values
// q8               for k in 0..<8, for each row the 4 bytes of columns 4k..<4k+4; then 16 scales (f16)
// q4               for k in 0..<4, for each row 4 bytes: low nibbles columns 8k..<8k+4, high nibbles 8k+4..<8k+8; then 16 scales
// q4m              as q4, then 16 minima (f16)
// Scales sit behind their block, so that decode reads one stream. Missing columns and rows are zero weights.

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

    /// Rows of a panel.
    public static let panelRows = 16

    /// A matrix whose `byteCount(type:rows:columns:)` bytes are at `base` (64-byte aligned is fastest, any address works).
    public init(type: WeightType, rows: Int, columns: Int, base: UnsafeRawPointer) {
        self.type = type
        self.rows = rows
        self.columns = columns
        self.base = base
    }

    /// Panels of the matrix; the last may be partly empty.
    public var panelCount: Int { (rows + PanelMatrix.panelRows - 1) / PanelMatrix.panelRows }

    /// Bytes of one panel: a multiple of 64.
    public static func panelBytes(type: WeightType, columns: Int) -> Int {
        (blockCount(columns) * type.panelBlockBytes + 63) / 64 * 64
    }

    /// Bytes of a whole matrix.
    public static func byteCount(type: WeightType, rows: Int, columns: Int) -> Int {
        (rows + panelRows - 1) / panelRows * panelBytes(type: type, columns: columns)
    }

    /// The first byte of panel `panel`.
    func panel(_ panel: Int) -> UnsafeRawPointer {
        base + panel * PanelMatrix.panelBytes(type: type, columns: columns)
    }
}

/// Blocks of 32 that `columns` columns take.
func blockCount(_ columns: Int) -> Int { (columns + 31) / 32 }

extension WeightType {
    /// Bytes of 16 rows by 32 columns, scales included.
    var panelBlockBytes: Int {
        switch self {
        case .f32: 2048
        case .bf16, .f16: 1024
        case .q8: 544
        case .q4: 288
        case .q4m: 320
        }
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

    /// Bytes of 32 consecutive elements of a row.
    public var bytesPer32: Int {
        switch self {
        case .f32: 128
        case .bf16, .f16: 64
        case .q8_0: 34
        case .q4_0: 18
        case .q4_1: 20
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
        }
    }
}
