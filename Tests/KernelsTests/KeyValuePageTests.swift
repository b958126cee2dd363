import Core
import Kernels
import Testing

@Suite struct KeyValuePageTests {
    @Test("keys and values are read back as the nearest f16, ties to even, and never infinite")
    func rounding() {
        let headDim = 8
        let bytes = KeyValuePage.byteCount(headDim: headDim)
        #expect(bytes == 1_024)
        let page = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2)
        defer { page.deallocate() }
        let x: [Float] = [1 + 0x1p-11, 1 + 0x3p-11, 1e9, -1e9, 65_519, 65_520, 0x1p-25, -0.1]
        let expected: [Float16] = [1, 1 + 0x1p-9, 65_504, -65_504, 65_504, 65_504, 0, -0.1]
        for index in [0, 17, 63] {
            KeyValuePage.storeKey(x, in: page, at: index, headDim: headDim)
            for d in 0..<headDim {
                #expect(page.load(fromByteOffset: (d * 64 + index) * 2, as: Float16.self) == expected[d])
            }
            KeyValuePage.storeValue(x, in: page, at: index, headDim: headDim)
            for d in 0..<headDim {
                #expect(page.load(fromByteOffset: (index * headDim + d) * 2, as: Float16.self) == expected[d])
            }
        }
    }

    @Test("a page takes what its type says", arguments: [16, 64, 80, 128])
    func sizes(headDim: Int) {
        let blocks = [16: 1, 64: 2, 80: 3, 128: 4][headDim] ?? 0
        #expect(KeyValuePage.byteCount(headDim: headDim, type: .f32) == 256 * headDim)
        #expect(KeyValuePage.byteCount(headDim: headDim, type: .f16) == 128 * headDim)
        #expect(KeyValuePage.byteCount(headDim: headDim, type: .q8) == 64 * 34 * blocks)
        #expect(KeyValuePage.byteCount(headDim: headDim, type: .q4) == 64 * 18 * blocks)
    }

    @Test("blocks are read back as the obvious quantiser has them", arguments: [KVType.q8, .q4], [8, 16, 64, 80, 128])
    func blocks(type: KVType, headDim: Int) {
        var draws = Draws(UInt64(headDim))
        let tokens = 150
        let pages = Pages(tokens: tokens, headDim: headDim, type: type, draws: &draws, filled: false)
        for token in 0..<tokens {
            // From far below the smallest scale to near the greatest, and some blocks of zeros.
            let size = token % 10 == 0 ? 0 : Float(sign: .plus, exponent: token % 50 - 32, significand: 1)
            let key = draws.floats(headDim, scale: size)
            let value = draws.floats(headDim, scale: size)
            pages.store(key: key, value: value, at: token)
            #expect((0..<headDim).map { pages.key(token, $0) } == rounded(key, type))
            #expect((0..<headDim).map { pages.value(token, $0) } == rounded(value, type))
        }
    }

    @Test("no block is ever read back as anything but finite", arguments: [KVType.q8, .q4])
    func finite(type: KVType) {
        var draws = Draws(7)
        let pages = Pages(tokens: 1, headDim: 16, type: type, draws: &draws, filled: false)
        let steps: Float = type == .q8 ? 127 : 8
        for odd in [Float.infinity, -.infinity, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .nan] {
            var x = draws.floats(16)
            x[5] = odd
            pages.store(key: x, value: x, at: 0)
            for d in 0..<16 {
                #expect(abs(pages.key(0, d)) <= 65_504 * steps)
                #expect(abs(pages.value(0, d)) <= 65_504 * steps)
            }
            if !odd.isNaN { #expect(pages.key(0, 5) == (odd < 0 ? -65_504 : 65_504) * steps) }
        }
    }

    @Test("ties are rounded to even", arguments: [KVType.q8, .q4])
    func ties(type: KVType) {
        var draws = Draws(8)
        let pages = Pages(tokens: 1, headDim: 8, type: type, draws: &draws, filled: false)
        let x: [Float] = [type == .q8 ? 127 : -8, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.75]
        pages.store(key: x, value: x, at: 0)
        #expect((0..<8).map { pages.key(0, $0) } == [x[0], 0, 2, 2, 0, -2, -2, 1])
    }

    @Test("a token's bytes are its own, in whatever order tokens come", arguments: KVType.allCases, [16, 80])
    func order(type: KVType, headDim: Int) {
        var draws = Draws(9)
        let tokens = (0..<70).map { _ in (draws.floats(headDim), draws.floats(headDim)) }
        let forwards = Pages(tokens: 70, headDim: headDim, type: type, draws: &draws, rubbish: 0, filled: false)
        let others = Pages(tokens: 70, headDim: headDim, type: type, draws: &draws, rubbish: 0xFFFF, filled: false)
        let empty = others.bytes
        for (token, (key, value)) in tokens.enumerated() { forwards.store(key: key, value: value, at: token) }
        // Everywhere rubbish first, as in a page that another sequence has left.
        for token in 0..<70 { others.store(key: tokens[3].1, value: tokens[4].0, at: token) }
        for token in (0..<70).reversed() { others.store(key: tokens[token].0, value: tokens[token].1, at: token) }
        for token in 0..<70 {
            for d in 0..<headDim {
                #expect(forwards.key(token, d) == others.key(token, d))
                #expect(forwards.value(token, d) == others.value(token, d))
            }
        }
        // What tokens 6... of the second page would hold is still as it was.
        let unwritten = zip(empty, others.bytes).filter { $0 == 0xFF && $1 == 0xFF }.count
        // The last block of a value may be short.
        let short = type == .q8 ? (32 - headDim % 32) % 32 : type == .q4 ? (32 - headDim % 32) % 32 / 2 : 0
        let tokenBytes = 2 * type.byteCount(headDim: headDim) - short
        #expect(unwritten >= 58 * tokenBytes)
        // Two tokens never write to one byte.
        var owners = [Int](repeating: 0, count: empty.count)
        for token in 0..<70 {
            let zeros = Pages(tokens: 70, headDim: headDim, type: type, draws: &draws, rubbish: 0, filled: false)
            let ones = Pages(tokens: 70, headDim: headDim, type: type, draws: &draws, rubbish: 0xFFFF, filled: false)
            for pages in [zeros, ones] { pages.store(key: tokens[token].0, value: tokens[token].1, at: token) }
            for (at, pair) in zip(zeros.bytes, ones.bytes).enumerated() where pair.0 == pair.1 { owners[at] += 1 }
        }
        #expect(owners.max() == 1)
        #expect(owners.reduce(0, +) == 70 * tokenBytes)
    }

    @Test("the error of q8 is below 1% and that of q4 below 12%", arguments: [16, 64, 80, 128])
    func accuracy(headDim: Int) {
        for (type, bound) in [(KVType.q8, 0.01), (.q4, 0.12)] {
            var draws = Draws(10)
            let pages = Pages(tokens: 64, headDim: headDim, type: type, draws: &draws, filled: false)
            var (error, size) = (0.0, 0.0)
            for token in 0..<64 {
                let x = draws.floats(headDim)
                pages.store(key: x, value: x, at: token)
                for d in 0..<headDim {
                    error += Double((x[d] - pages.key(token, d)) * (x[d] - pages.value(token, d)))
                    size += Double(x[d] * x[d])
                }
            }
            #expect((error / size).squareRoot() < bound)
        }
    }

    /// What a key or a value must be read back as: block by block, by division and rounding as they are written down.
    private func rounded(_ x: [Float], _ type: KVType) -> [Float] {
        stride(from: 0, to: x.count, by: 32).flatMap { first in
            let block = x[first..<min(first + 32, x.count)]
            let largest = block.reduce(0) { abs($1) > abs($0) ? $1 : $0 }
            let scale = Float(Float16(type == .q8 ? abs(largest) / 127 : largest / -8))
            if scale == 0 { return block.map { _ in Float(0) } }
            return block.map { x in
                let steps = (x / scale).rounded(.toNearestOrEven)
                return scale * (type == .q8 ? min(max(steps, -127), 127) : min(max(steps, -8), 7))
            }
        }
    }
}
