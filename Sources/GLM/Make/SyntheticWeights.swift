public import Checkpoint
public import Core
import KVCache

/// Weights with a model's dimensions that come from no file: for measuring what a host makes of them.
///
/// Every matrix is filled from one pool of random blocks, so a slice is there as fast as memory is written.
public struct SyntheticWeights: TensorSource {
    /// Every tensor by name, in Hugging Face's spelling.
    public let tensors: [String: TensorInfo]
    /// The model that they belong to.
    public let description: ModelDescription
    private let pools: [StoredType: [UInt8]]

    private static let poolElements = 1 << 18

    /// Weights of type `type` for the first `layers` layers of a model like `configuration`, with a small vocabulary: the
    /// output matrix costs what other matrices cost.
    public init(_ configuration: Configuration, layers: Int, type: WeightType) throws {
        var smaller = configuration
        smaller.layers = layers
        smaller.vocabulary = min(configuration.vocabulary, 1024)
        smaller.stopTokens = []
        smaller.architecture = configuration.sandwichNorms ? .glm4 : .glm
        smaller.tiedEmbeddings = false
        description = try ModelDescription(smaller, storedAs: type)
        tensors = description.tensors
        var pools: [StoredType: [UInt8]] = [:]
        // Rows of a few thousand weights of this spread keep activations near one.
        for stored in Set(tensors.values.map(\.type)) {
            let spread: Float = stored == .f32 && type.isInteger ? 1 : 0.03
            pools[stored] = RandomModel.bytes(
                count: Self.poolElements, mean: 0, spread: spread, type: stored, seed: 1)
        }
        self.pools = pools
    }

    /// Some rows of a tensor, made up.
    public func rows(of name: String, _ rows: Range<Int>, columns: Range<Int>?) throws -> TensorRows {
        guard let info = tensors[name], let pool = pools[info.type] else {
            throw Problem.invalid("a synthetic model has no tensor \(name)")
        }
        let part = try info.part(rows: rows, columns: columns)
        let stride = info.type.byteCount(elements: part.columns) ?? 0
        let region = try MemoryRegion(byteCount: stride * rows.count)
        pool.withUnsafeBytes { pool in
            var at = 0
            while at < stride * rows.count {
                let count = min(pool.count, stride * rows.count - at)
                region.base.advanced(by: at).copyMemory(
                    from: pool.baseAddress ?? UnsafeRawPointer(region.base), byteCount: count)
                at += count
            }
        }
        return TensorRows(
            base: region.base, rowStride: stride, rows: rows.count, type: info.type, columns: part.columns,
            owner: region)
    }
}

extension ModelDescription {
    /// A model that has dimensions and no files, with the tensors that its files would have.
    public init(_ configuration: Configuration, storedAs type: WeightType) throws {
        let stored = try MadeModel.storedType(type, type.isInteger ? .gguf : .safetensors)
        var tensors: [String: TensorInfo] = [:]
        for (name, shape) in MadeModel(configuration: configuration).tensors {
            let own = shape.count == 1 && type.isInteger ? StoredType.f32 : stored
            tensors[name] = TensorInfo(name: name, type: own, shape: shape)
        }
        self.init(configuration: configuration, tensors: tensors, digest: "")
        _ = try TensorNames(configuration: configuration, tensors: tensors)
    }

    private init(configuration: Configuration, tensors: [String: TensorInfo], digest: String) {
        self.configuration = configuration
        self.tensors = tensors
        self.digest = digest
    }
}
