/// How the elements of a stored tensor are written.
///
/// Every type that safetensors and GGUF files are known to hold has its name and size here, so that any such file can
/// be listed and checked; `isSupported` says which of them this version can compute with.
public enum StoredType: String, Sendable, Codable, CaseIterable {
    case f32 = "F32"
    case bf16 = "BF16"
    case f16 = "F16"
    case q8_0 = "Q8_0"
    case q4_0 = "Q4_0"
    case q4_1 = "Q4_1"
    case f64 = "F64"
    case i8 = "I8"
    case i16 = "I16"
    case i32 = "I32"
    case i64 = "I64"
    case u8 = "U8"
    case u16 = "U16"
    case u32 = "U32"
    case u64 = "U64"
    case bool = "BOOL"
    case f8_e4m3 = "F8_E4M3"
    case f8_e5m2 = "F8_E5M2"
    case q5_0 = "Q5_0"
    case q5_1 = "Q5_1"
    case q8_1 = "Q8_1"
    case q2_k = "Q2_K"
    case q3_k = "Q3_K"
    case q4_k = "Q4_K"
    case q5_k = "Q5_K"
    case q6_k = "Q6_K"
    case q8_k = "Q8_K"
    case iq2_xxs = "IQ2_XXS"
    case iq2_xs = "IQ2_XS"
    case iq3_xxs = "IQ3_XXS"
    case iq1_s = "IQ1_S"
    case iq4_nl = "IQ4_NL"
    case iq3_s = "IQ3_S"
    case iq2_s = "IQ2_S"
    case iq4_xs = "IQ4_XS"
    case iq1_m = "IQ1_M"

    /// Whether this version can compute with it.
    public var isSupported: Bool {
        switch self {
        case .f32, .bf16, .f16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_k, .q5_k, .q6_k: true
        default: false
        }
    }

    /// Elements that are stored together: 1, or the length of a quantisation block.
    public var blockElements: Int { size.elements }

    /// Bytes of a block.
    public var blockBytes: Int { size.bytes }

    /// Bytes of `elements` elements, or nil when they are no whole blocks or too many to count.
    public func byteCount(elements: Int) -> Int? {
        let size = size
        guard elements >= 0, elements % size.elements == 0 else { return nil }
        let (bytes, overflow) = (elements / size.elements).multipliedReportingOverflow(by: size.bytes)
        return overflow ? nil : bytes
    }

    private var size: (elements: Int, bytes: Int) {
        switch self {
        case .i8, .u8, .bool, .f8_e4m3, .f8_e5m2: (1, 1)
        case .f16, .bf16, .i16, .u16: (1, 2)
        case .f32, .i32, .u32: (1, 4)
        case .f64, .i64, .u64: (1, 8)
        case .q8_0: (32, 34)
        case .q8_1: (32, 36)
        case .q4_0, .iq4_nl: (32, 18)
        case .q4_1: (32, 20)
        case .q5_0: (32, 22)
        case .q5_1: (32, 24)
        case .q2_k: (256, 84)
        case .q3_k, .iq3_s: (256, 110)
        case .q4_k: (256, 144)
        case .q5_k: (256, 176)
        case .q6_k: (256, 210)
        case .q8_k: (256, 292)
        case .iq2_xxs: (256, 66)
        case .iq2_xs: (256, 74)
        case .iq3_xxs: (256, 98)
        case .iq1_s: (256, 50)
        case .iq2_s: (256, 82)
        case .iq4_xs: (256, 136)
        case .iq1_m: (256, 56)
        }
    }

    /// GGUF's number for the type, or nil for one that only safetensors files hold.
    var ggufNumber: UInt32? { Self.ggufNumbers.first { $0.value == self }?.key }

    /// The types by GGUF's numbers (`ggml_type` of the GGUF specification).
    static let ggufNumbers: [UInt32: StoredType] = [
        0: .f32, 1: .f16, 2: .q4_0, 3: .q4_1, 6: .q5_0, 7: .q5_1, 8: .q8_0, 9: .q8_1, 10: .q2_k, 11: .q3_k,
        12: .q4_k, 13: .q5_k, 14: .q6_k, 15: .q8_k, 16: .iq2_xxs, 17: .iq2_xs, 18: .iq3_xxs, 19: .iq1_s,
        20: .iq4_nl, 21: .iq3_s, 22: .iq2_s, 23: .iq4_xs, 24: .i8, 25: .i16, 26: .i32, 27: .i64, 28: .f64,
        29: .iq1_m, 30: .bf16,
    ]

    /// The types that a safetensors header may name.
    static let safetensors: [String: StoredType] = [
        "F32": .f32, "BF16": .bf16, "F16": .f16, "F64": .f64, "I8": .i8, "I16": .i16, "I32": .i32, "I64": .i64,
        "U8": .u8, "U16": .u16, "U32": .u32, "U64": .u64, "BOOL": .bool, "F8_E4M3": .f8_e4m3, "F8_E5M2": .f8_e5m2,
    ]
}
