import Checkpoint
import Core
import Kernels
import Testing

@testable import GLM

@Suite("Weights as files store them")
struct StoredEncodingTests {
    @Test(
        "what is encoded reads back within a step",
        arguments: [
            (StoredType.q8_0, StoredFormat.q8_0, Float(0.005)), (.q4_0, .q4_0, 0.13), (.q5_0, .q5_0, 0.065),
            (.q5_1, .q5_1, 0.035), (.q4_k, .q4_k, 0.1), (.q5_k, .q5_k, 0.06), (.q6_k, .q6_k, 0.04),
        ])
    func readsBack(type: StoredType, format: StoredFormat, bound: Float) {
        // Between -1 and 1, another range in every 32; a block of zeros; a block of one sign.
        var x = (0..<1024).map { (i: Int) -> Float in
            let width = 1 - Float(i / 32 % 5) / 8
            return Float(i * 7919 % 2001 - 1000) / 1000 * width
        }
        for i in 32..<64 { x[i] = 0 }
        for i in 256..<512 { x[i] = abs(x[i]) + 0.001 }
        var bytes: [UInt8] = []
        StoredEncoding.append(x, as: type, to: &bytes)
        #expect(bytes.count == type.byteCount(elements: x.count))
        var y = [Float](repeating: .nan, count: x.count)
        dequantize(bytes, stored: format, columns: x.count, into: &y)
        for i in x.indices { #expect(abs(x[i] - y[i]) <= bound, "\(x[i]) became \(y[i])") }
    }

    @Test("zeros stay zeros", arguments: [StoredType.q5_0, .q5_1, .q4_k, .q5_k, .q6_k])
    func zeros(type: StoredType) throws {
        var bytes: [UInt8] = []
        StoredEncoding.append([Float](repeating: 0, count: 256), as: type, to: &bytes)
        var y = [Float](repeating: .nan, count: 256)
        dequantize(bytes, stored: try type.format(of: "a"), columns: 256, into: &y)
        #expect(y.allSatisfy { $0 == 0 })
    }
}
