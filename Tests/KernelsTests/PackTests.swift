import Core
import Kernels
import Testing

@Suite struct PackTests {
    /// Byte i of the check blocks is (37 i + 11) mod 256; d becomes 0.5, m becomes 0.25.
    private func checkBlock(_ format: StoredFormat) -> [Float] {
        var bytes = (0..<format.bytesPer32).map { UInt8(truncatingIfNeeded: 37 * $0 + 11) }
        bytes.replaceSubrange(0..<2, with: [0x00, 0x38])
        if format == .q4_1 { bytes.replaceSubrange(2..<4, with: [0x00, 0x34]) }
        var x = [Float](repeating: 0, count: 32)
        dequantize(bytes, stored: format, columns: 32, into: &x)
        return x
    }

    @Test("the check blocks of the specification dequantise to its values")
    func checkBlocks() {
        let q8 = checkBlock(.q8_0)
        #expect([q8[0], q8[1], q8[15], q8[16], q8[31]] == [42.5, 61, -64, -45.5, -24])
        #expect(q8.reduce(0, +) == -88 && q8.reduce(0) { $0 + $1 * $1 } == 47564)
        let q4 = checkBlock(.q4_0)
        #expect([q4[0], q4[1], q4[15], q4[16], q4[31]] == [-1.5, 1, -4, -1.5, 0])
        #expect(q4.reduce(0, +) == -10.5 && q4.reduce(0) { $0 + $1 * $1 } == 161.25)
        let q4m = checkBlock(.q4_1)
        #expect([q4m[0], q4m[1], q4m[15], q4m[16], q4m[31]] == [7.75, 2.25, 5.25, 4.75, 6.25])
        #expect(q4m.reduce(0, +) == 130.5 && q4m.reduce(0) { $0 + $1 * $1 } == 695)
    }

    @Test("rows at odd addresses dequantise to what the format defines", arguments: StoredFormat.allCases)
    func rows(format: StoredFormat) {
        for columns in [1, 15, 17, 32, 100] {
            let w = StoredMatrix(format, rows: 2, columns: columns, seed: UInt64(columns))
            var x = [Float](repeating: -9, count: columns + 1)
            w.bytes.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                dequantize(base + 1 + w.rowBytes, stored: format, columns: columns, into: &x)
            }
            #expect(x == (0..<columns).map { w.value(1, $0) } + [-9])
        }
    }

    @Test("every weight of a float panel is the stored one, rounded once", arguments: StoredFormat.allCases)
    func floatPanels(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 18, columns: 50, seed: 4)
        for type in [WeightType.f32, .bf16, .f16] {
            w.withPanels(type) { panels in
                for row in 0..<32 {
                    for k in 0..<64 {
                        let value = row < 18 && k < 50 ? w.value(row, k) : 0
                        let at = row / 16 * PanelMatrix.panelBytes(type: type, columns: 50)
                        let i = k * 16 + row % 16
                        switch type {
                        case .f32:
                            #expect(panels.base.load(fromByteOffset: at + 4 * i, as: Float.self) == value)
                        case .bf16:
                            let found = panels.base.load(fromByteOffset: at + 2 * i, as: UInt16.self)
                            #expect(found == nearestBF16(value))
                        default:
                            #expect(panels.base.load(fromByteOffset: at + 2 * i, as: Float16.self) == Float16(value))
                        }
                    }
                }
            }
        }
    }

    /// The nearer of the two neighbours, the even one in the middle.
    private func nearestBF16(_ x: Float) -> UInt16 {
        let low = UInt16(x.bitPattern >> 16)
        let below = Double(Float(bitPattern: UInt32(low) << 16))
        let above = Double(Float(bitPattern: UInt32(low + 1) << 16))
        let down = abs(Double(x) - below)
        let up = abs(above - Double(x))
        if down == up { return low % 2 == 0 ? low : low + 1 }
        return down < up ? low : low + 1
    }

    @Test("wider rows become integers by the reference quantisers", arguments: [StoredFormat.f32, .bf16, .f16, .q4_1])
    func quantisers(format: StoredFormat) {
        for columns in [64, 80] {
            let w = StoredMatrix(format, rows: 5, columns: columns, seed: 11)
            for type in [WeightType.q8, .q4, .q4m] where type != format.weightType {
                w.withPanels(type) { panels in
                    for row in 0..<16 {
                        for b in 0..<(columns + 31) / 32 {
                            let x = (32 * b..<32 * b + 32).map { row < 5 && $0 < columns ? w.value(row, $0) : 0 }
                            #expect(
                                decode(panels, row: row, block: b) == reference(x, type),
                                "\(type) row \(row) block \(b)")
                        }
                    }
                }
            }
        }
    }

    @Test("a partial block of stored integers keeps its elements and is padded with zero weights")
    func partial() {
        for (format, zero) in [(StoredFormat.q8_0, 0), (.q4_0, 8), (.q4_1, 0)] {
            let w = StoredMatrix(format, rows: 3, columns: 41, seed: 3)
            w.withPanels(format.weightType) { panels in
                for row in 0..<3 {
                    let quants = decode(panels, row: row, block: 1).quants
                    #expect(quants == (32..<64).map { $0 < 41 ? w.quant(row, $0) : zero })
                }
            }
        }
    }

    private struct Block: Equatable {
        var quants: [Int]
        var d: Float16
        var m: Float16
    }

    /// A row's block out of a panel, by the documented layout.
    private func decode(_ w: PanelMatrix, row: Int, block: Int) -> Block {
        let size = w.type == .q8 ? 544 : w.type == .q4 ? 288 : 320
        let at = w.base + block * size
        let quants = (0..<32).map { k -> Int in
            if w.type == .q8 {
                return Int(at.load(fromByteOffset: k / 4 * 64 + row * 4 + k % 4, as: Int8.self))
            }
            let byte = at.load(fromByteOffset: k / 8 * 64 + row * 4 + k % 4, as: UInt8.self)
            return Int(k % 8 < 4 ? byte & 15 : byte >> 4)
        }
        let scales = w.type == .q8 ? 512 : 256
        return Block(
            quants: quants, d: at.load(fromByteOffset: scales + 2 * row, as: Float16.self),
            m: w.type == .q4m ? at.load(fromByteOffset: scales + 32 + 2 * row, as: Float16.self) : 0)
    }

    /// The quantisers as the GGUF specification words them.
    private func reference(_ x: [Float], _ type: WeightType) -> Block {
        switch type {
        case .q8:
            let d = (x.map { abs($0) }.max() ?? 0) / 127
            let inverse = d == 0 ? 0 : 1 / d
            return Block(
                quants: x.map { Int(($0 * inverse).rounded(.toNearestOrAwayFromZero)) }, d: Float16(d), m: 0)
        case .q4:
            var largest: Float = 0
            for v in x where abs(v) > abs(largest) { largest = v }
            let d = largest / -8
            let inverse = d == 0 ? 0 : 1 / d
            return Block(quants: x.map { min(15, Int($0 * inverse + 8.5)) }, d: Float16(d), m: 0)
        default:
            let smallest = x.min() ?? 0
            let d = ((x.max() ?? 0) - smallest) / 15
            let inverse = d == 0 ? 0 : 1 / d
            return Block(
                quants: x.map { min(15, Int(($0 - smallest) * inverse + 0.5)) }, d: Float16(d), m: Float16(smallest))
        }
    }

    @Test("broken weights quantise to something, never to a crash")
    func broken() {
        var bytes = [UInt8]()
        for x in [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 1, -1, 0] {
            for _ in 0..<4 { withUnsafeBytes(of: x) { bytes.append(contentsOf: $0) } }
        }
        for type in WeightType.allCases {
            var panel = [UInt8](repeating: 0, count: PanelMatrix.panelBytes(type: type, columns: 32))
            packPanel(into: &panel, type: type, from: bytes, rowStride: 128, rowCount: 1, stored: .f32, columns: 32)
            #expect(panel.contains { $0 != 0 })
        }
    }

    @Test("activations round to int8 blocks as the twin says; short blocks are padded with zeros")
    func activations() {
        var numbers = Numbers(seed: 12)
        var x = (0..<3 * 90).map { _ in numbers.float() }
        for i in 0..<32 { x[90 + i] = 0 }
        x[5] = 40
        x[200] = 0.5
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: activationBytes(tokens: 3, columns: 80), alignment: 64)
        defer { buffer.deallocate() }
        let a = Activations(buffer: buffer, tokens: 3, columns: 80)
        quantizeActivations(x, stride: 90, tokens: 3, columns: 80, blocks: 1..<3, into: a)
        quantizeActivations(x, stride: 90, tokens: 3, columns: 80, blocks: 0..<1, into: a)
        for t in 0..<3 {
            for b in 0..<3 {
                let row = (32 * b..<32 * b + 32).map { $0 < 80 ? x[t * 90 + $0] : 0 }
                let (quants, scale) = quantizeTwin(row)
                let i = b * 3 + t
                guard let q = a.quants, let scales = a.scales, let sums = a.sums, let scaled = a.scaledSums else {
                    Issue.record("int8 activations have int8 buffers")
                    return
                }
                let sum = quants.reduce(0, +)
                #expect((0..<32).map { Int(q[i * 32 + $0]) } == quants)
                #expect(scales[i] == scale && sums[i] == Int32(sum) && scaled[i] == scale * Float(sum))
            }
        }
    }
}
