import Core
import Kernels
import Testing

@Suite struct PackTests {
    /// Byte i of the check blocks is (37 i + 11) mod 256; d becomes 0.5, m and dmin become 0.25.
    private func checkBlock(_ format: StoredFormat) -> [Float] {
        var bytes = (0..<format.blockBytes).map { UInt8(truncatingIfNeeded: 37 * $0 + 11) }
        StoredMatrix.put(0.5, in: &bytes, at: format.scaleAt)
        if let at = format.minimumAt { StoredMatrix.put(0.25, in: &bytes, at: at) }
        var x = [Float](repeating: 0, count: format.blockColumns)
        dequantize(bytes, stored: format, columns: format.blockColumns, into: &x)
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

    @Test(
        "the check blocks of five bits and of superblocks dequantise to the specification's values",
        arguments: [
            (StoredFormat.q5_0, [0: 4.5, 1: -1, 15: -6, 16: 7, 31: 0.5], 7.5, 656.75),
            (.q5_1, [0: 9.75, 1: 12.25, 15: 15.25, 16: 9.75, 31: 2.75], 260.5, 2824.5),
            (
                .q4_k,
                [
                    0: 157.75, 1: -12.75, 31: 80.25, 32: 4, 64: 210.25, 96: 96.5, 127: 40.5, 128: 211.5, 200: 69.25,
                    255: 24.25,
                ], 27220, 6_041_305
            ),
            (
                .q5_k,
                [
                    0: 405.75, 1: -12.75, 31: 80.25, 32: 56, 64: 210.25, 96: 166.5, 127: -1.5, 128: 523.5, 200: 69.25,
                    255: 54.25,
                ], 58108, 25_707_205
            ),
            (
                .q6_k,
                [
                    0: -715.5, 1: 848, 31: -48, 32: 115.5, 64: -1520, 96: -435, 127: 750, 128: -175.5, 200: 544.5,
                    255: -30,
                ],
                2306, 118_475_065
            ),
        ] as [(StoredFormat, [Int: Double], Double, Double)])
    func moreCheckBlocks(format: StoredFormat, values: [Int: Double], sum: Double, squares: Double) {
        let x = checkBlock(format).map { Double($0) }
        for (i, value) in values { #expect(x[i] == value, "element \(i)") }
        #expect(x.reduce(0, +) == sum && x.reduce(0) { $0 + $1 * $1 } == squares)
    }

    @Test("rows at odd addresses dequantise to what the format defines", arguments: StoredFormat.allCases)
    func rows(format: StoredFormat) {
        for columns in [1, 15, 17, 32, 100, 300] {
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

    @Test(
        "wider rows become integers by the reference quantisers",
        arguments: [StoredFormat.f32, .bf16, .f16, .q4_1, .q5_0, .q6_k])
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
        for (format, zero) in [
            (StoredFormat.q8_0, 0), (.q4_0, 8), (.q4_1, 0), (.q5_0, 16), (.q5_1, 0), (.q4_k, 0), (.q5_k, 0),
            (.q6_k, 32),
        ] {
            let w = StoredMatrix(format, rows: 3, columns: 41, seed: 3)
            w.withPanels(format.weightType) { panels in
                for row in 0..<3 {
                    let quants = decode(panels, row: row, block: 1).quants
                    #expect(quants == (32..<64).map { $0 < 41 ? w.quant(row, $0) : zero })
                }
            }
        }
    }

    @Test("a panel's bytes are all written, and none beside them", arguments: StoredFormat.allCases)
    func bounds(format: StoredFormat) {
        for (from, columns) in [(0, 41), (0, 256), (96, 256), (96, 800), (224, 300), (480, 800)] {
            let w = StoredMatrix(format, rows: 7, columns: columns, seed: 3)
            let first = 1 + from / format.blockColumns * format.blockBytes
            let skipped = from % format.blockColumns / 32
            guard from < columns else { continue }
            let size = PanelMatrix.panelBytes(
                type: format.weightType, columns: columns - from, skippedBlocks: skipped)
            let packed = [UInt8(0xa5), 0x5a].map { mark in
                var panel = [UInt8](repeating: mark, count: size + 256)
                panel.withUnsafeMutableBytes { panel in
                    guard let base = panel.baseAddress else { return }
                    packPanel(
                        into: base + 128, type: format.weightType, from: Array(w.bytes[first...]),
                        rowStride: w.rowBytes, rowCount: 7, stored: format, skippedBlocks: skipped,
                        columns: columns - from)
                }
                #expect(panel[..<128].allSatisfy { $0 == mark } && panel[(128 + size)...].allSatisfy { $0 == mark })
                return panel[128..<128 + size]
            }
            #expect(packed[0] == packed[1], "columns \(from) to \(columns)")
        }
    }

    private struct Block: Equatable {
        var quants: [Int]
        var d: Float16
        var m: Float16
    }

    /// A row's block out of a panel, by the documented layout; of superblocks the small scales are left out.
    private func decode(_ w: PanelMatrix, row: Int, block: Int) -> Block {
        let (size, quantBytes, factors): (Int, Int, Int) =
            switch w.type {
            case .q8: (544, 512, 0)
            case .q4: (288, 256, 0)
            case .q4m: (320, 256, 0)
            case .q5: (352, 320, 0)
            case .q5m: (384, 320, 0)
            case .q4k: (288, 256, 64)
            case .q5k: (352, 320, 64)
            case .q6k: (416, 384, 32)
            default: (0, 0, 0)
            }
        let superblock = w.base + block / 8 * factors
        let at = superblock + factors + block * size
        let quants = (0..<32).map { k -> Int in
            let byte = row * 4 + k % 4
            if w.type == .q8 { return Int(at.load(fromByteOffset: k / 4 * 64 + byte, as: Int8.self)) }
            func bits(_ from: Int, _ place: Int) -> Int {
                Int(at.load(fromByteOffset: from + byte, as: UInt8.self)) >> place
            }
            let nibble = bits(k / 8 * 64, k % 8 < 4 ? 0 : 4) & 15
            switch quantBytes {
            case 320: return nibble | (bits(256, k / 4) & 1) << 4
            case 384: return nibble | (bits(256 + k / 16 * 64, k % 16 / 4 * 2) & 3) << 4
            default: return nibble
            }
        }
        let scales = factors > 0 ? superblock + block / 8 * 8 * size : at + quantBytes
        let hasMinima = [WeightType.q4m, .q5m, .q4k, .q5k].contains(w.type)
        return Block(
            quants: quants, d: scales.load(fromByteOffset: 2 * row, as: Float16.self),
            m: hasMinima ? scales.load(fromByteOffset: 32 + 2 * row, as: Float16.self) : 0)
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
        for type in WeightType.allCases where type.isRoundedTo || type == .q4m {
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
        quantizeActivations(x, stride: 90, tokens: 0..<3, columns: 80, blocks: 1..<3, into: a)
        quantizeActivations(x, stride: 90, tokens: 2..<3, columns: 80, blocks: 0..<1, into: a)
        quantizeActivations(x, stride: 90, tokens: 0..<2, columns: 80, blocks: 0..<1, into: a)
        for t in 0..<3 {
            for b in 0..<3 {
                let row = (32 * b..<32 * b + 32).map { $0 < 80 ? x[t * 90 + $0] : 0 }
                let (quants, scale) = quantizeTwin(row)
                let i = b * 3 + t
                guard let q = a.quants, let scales = a.scales, let sums = a.sums, let scaled = a.scaledSums,
                    let halves = a.halfSums
                else {
                    Issue.record("int8 activations have int8 buffers")
                    return
                }
                let sum = quants.reduce(0, +)
                let first = Int16(truncatingIfNeeded: halves[i])
                #expect(Int(first) == quants[..<16].reduce(0, +) && Int(halves[i] >> 16) == quants[16...].reduce(0, +))
                #expect((0..<32).map { Int(q[i * 32 + $0]) } == quants)
                #expect(scales[i] == scale && sums[i] == Int32(sum) && scaled[i] == scale * Float(sum))
            }
        }
    }
}
