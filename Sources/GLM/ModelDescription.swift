public import Checkpoint
import Core
import FoundationEssentials

/// What a worker must know of a model before it has any of its weights. It travels to workers as JSON.
public struct ModelDescription: Sendable, Codable {
    /// Dimensions and habits.
    public var configuration: Configuration
    /// Every tensor by name.
    public var tensors: [String: TensorInfo]
    /// The checkpoint's fingerprint: who has the same may use its own files.
    public var digest: String

    /// The description of an opened checkpoint; it reads what the digest needs.
    public init(_ checkpoint: Checkpoint) throws {
        configuration = try Configuration(checkpoint)
        tensors = checkpoint.tensors
        _ = try TensorNames(configuration: configuration, tensors: tensors)
        digest = try checkpoint.digest()
    }

    /// The description that `bytes` encode, checked like one that was read from files.
    public init(decoding bytes: [UInt8]) throws {
        do {
            self = try JSONDecoder().decode(ModelDescription.self, from: Data(bytes))
        } catch {
            throw Problem.invalid("the model's description cannot be read; do all processes run the same version?")
        }
        try configuration.checkBounds()
        _ = try TensorNames(configuration: configuration, tensors: tensors)
    }

    /// The description as JSON.
    public func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return Array(try encoder.encode(self))
    }
}
