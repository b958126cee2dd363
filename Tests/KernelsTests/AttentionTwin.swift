import Core
import Glibc
import Kernels
import Testing

/// A fixed sequence of pseudo-random numbers (SplitMix64): the same on every run.
struct Draws {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Even in -1..<1, on a grid of 2^-23.
    mutating func float() -> Float { Float(Int64(next() >> 40) - (1 << 23)) / Float(1 << 23) }

    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in float() * scale } }

    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
}

/// The keys and values of one KV head, in pages; what no token has filled holds finite rubbish.
final class Pages {
    let headDim: Int
    let type: KVType
    let keys: [UnsafeRawPointer]
    let values: [UnsafeRawPointer]
    private let memory: UnsafeMutableRawPointer
    private let pageBytes: Int

    init(
        tokens: Int, headDim: Int, type: KVType = .f16, draws: inout Draws, rubbish: UInt16 = 0x7BFF,
        filled: Bool = true
    ) {
        let pageCount = (tokens + 63) / 64
        let bytes = KeyValuePage.byteCount(headDim: headDim, type: type)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * pageCount * bytes, alignment: 64)
        memory.initializeMemory(as: UInt16.self, repeating: rubbish, count: pageCount * bytes)
        self.headDim = headDim
        self.type = type
        self.memory = memory
        pageBytes = bytes
        keys = (0..<pageCount).map { UnsafeRawPointer(memory + $0 * 2 * bytes) }
        values = (0..<pageCount).map { UnsafeRawPointer(memory + $0 * 2 * bytes + bytes) }
        for token in 0..<(filled ? tokens : 0) {
            store(key: draws.floats(headDim, scale: 3), value: draws.floats(headDim), at: token)
        }
    }

    deinit { memory.deallocate() }

    func store(key: [Float], value: [Float], at token: Int) {
        let page = memory + token / 64 * 2 * pageBytes
        KeyValuePage.storeKey(key, in: page, at: token % 64, headDim: headDim, type: type)
        KeyValuePage.storeValue(value, in: page + pageBytes, at: token % 64, headDim: headDim, type: type)
    }

    func key(_ token: Int, _ d: Int) -> Float {
        let (page, token) = (keys[token / 64], token % 64)
        if type == .f32 || type == .f16 { return number(page, d * 64 + token) }
        return keyScale(page, token, d / 32) * Float(keyQuant(page, token, d))
    }

    /// The integer of a key in a page of blocks; dimensions past the head's last are zeros.
    func keyQuant(_ page: UnsafeRawPointer, _ token: Int, _ d: Int) -> Int {
        let block = page + keyBlock(token, d / 32)
        let (c, key) = (d % 32, token % 16)
        if type == .q8 { return Int(block.load(fromByteOffset: c / 4 * 64 + key * 4 + c % 4, as: Int8.self)) }
        let byte = Int(block.load(fromByteOffset: c / 8 * 64 + key * 4 + c % 4, as: UInt8.self))
        return (c % 8 < 4 ? byte % 16 : byte / 16) - 8
    }

    func keyScale(_ page: UnsafeRawPointer, _ token: Int, _ block: Int) -> Float {
        let at = keyBlock(token, block) + (type == .q8 ? 512 : 256) + token % 16 * 2
        return half(page.load(fromByteOffset: at, as: UInt16.self))
    }

    private func keyBlock(_ token: Int, _ block: Int) -> Int {
        (token / 16 * ((headDim + 31) / 32) + block) * (type == .q8 ? 544 : 288)
    }

    func value(_ token: Int, _ d: Int) -> Float {
        let (page, token) = (values[token / 64], token % 64)
        if type == .f32 || type == .f16 { return number(page, token * headDim + d) }
        let at = token * headDim + d
        let scale = token * ((headDim + 31) / 32) + d / 32
        return blockNumber(page, quant: type == .q8 ? at : at / 2, scale: scale, isHigh: d % 2 == 1)
    }

    /// Every byte of the pages.
    var bytes: [UInt8] {
        [UInt8](UnsafeRawBufferPointer(start: memory, count: 2 * keys.count * pageBytes))
    }

    private func number(_ page: UnsafeRawPointer, _ index: Int) -> Float {
        type == .f32
            ? page.load(fromByteOffset: index * 4, as: Float.self)
            : half(page.load(fromByteOffset: index * 2, as: UInt16.self))
    }

    /// What a quant counts, times its scale; a product of 8 and 11 bits, so exact.
    private func blockNumber(_ page: UnsafeRawPointer, quant: Int, scale: Int, isHigh: Bool) -> Float {
        let bytes = 64 * (type == .q8 ? headDim : headDim / 2)
        let scale = half(page.load(fromByteOffset: bytes + 2 * scale, as: UInt16.self))
        if type == .q8 { return scale * Float(page.load(fromByteOffset: quant, as: Int8.self)) }
        let byte = Int(page.load(fromByteOffset: quant, as: UInt8.self))
        return scale * Float((isHigh ? byte / 16 : byte % 16) - 8)
    }
}

/// f16 to f32 by hand: where the conversion is a library's, a thread that flushes would lose f16's denormals.
func half(_ bits: UInt16) -> Float {
    let exponent = Int(bits >> 10) & 31
    let fraction = Float(bits & 1023)
    let x =
        exponent == 0
        ? fraction * 0x1p-24 : Float(sign: .plus, exponent: exponent - 25, significand: 1024 + fraction)
    return bits >> 15 == 1 ? 0 - x : x
}

/// What `body` gives on a thread that flushes denormals to zero, as compute threads do.
func flushing<T>(_ body: () -> T) -> T {
    #if arch(x86_64)
        var before = fenv_t()
        fegetenv(&before)
        var flushed = before
        flushed.__mxcsr |= 0x8040
        fesetenv(&flushed)
        defer { fesetenv(&before) }
    #endif
    return body()
}

/// A row's partial attention, or nothing where the row has seen no key.
struct Partial: Equatable {
    var m: Float
    var l: Float
    var o: [Float]

    /// All of it as bits: -0 is not +0.
    var bits: [UInt32] { [m.bitPattern, l.bitPattern] + o.map(\.bitPattern) }

    /// The obvious attention of one row over some slots: a key after the other, in the canonical order.
    ///
    /// Pages that `includes` refuses are not attended.
    static func attend(
        _ q: [Float], visible: Int, _ pages: Pages, slots: Range<Int>, includes: (Int) -> Bool = { _ in true }
    ) -> Partial? {
        if slots.count == 1 {
            var state: Partial?
            var page = Slots.firstPage(ofSlot: slots.lowerBound)
            while page * 64 <= visible {
                if includes(page) { state = step(q, visible: visible, pages, page: page, after: state) }
                page += 64
            }
            return state
        }
        let middle = slots.lowerBound + slots.count / 2
        return merge(
            attend(q, visible: visible, pages, slots: slots.lowerBound..<middle, includes: includes),
            attend(q, visible: visible, pages, slots: middle..<slots.upperBound, includes: includes))
    }

    private static func step(_ q: [Float], visible: Int, _ pages: Pages, page: Int, after: Partial?) -> Partial {
        let headDim = q.count
        let scale = 1 / Float(headDim).squareRoot()
        let tokens = page * 64...min(visible, page * 64 + 63)
        let scaled = q.map { $0 * scale }
        let scores =
            pages.type == .q8 || pages.type == .q4
            ? blockScores(scaled, pages, tokens)
            : tokens.map { token in
                (0..<headDim).reduce(Float(0)) { $0.addingProduct(scaled[$1], pages.key(token, $1)) }
            }
        let m = scores.reduce(after?.m ?? -.infinity) { max($0, $1) }
        let weights = scores.map { exponential($0 - m) }
        let factor = after.map { exponential($0.m - m) } ?? 0
        var o = (after?.o ?? Array(repeating: 0, count: headDim)).map { $0 * factor }
        for (weight, token) in zip(weights, tokens) {
            for d in 0..<headDim { o[d] = o[d].addingProduct(weight, pages.value(token, d)) }
        }
        return Partial(m: m, l: sum16(weights).addingProduct(after?.l ?? 0, factor), o: o.map { $0 + 0 })
    }

    /// Scores with keys in blocks: queries are rounded to int8, as activations are; a block is an exact sum and then one FMA.
    private static func blockScores(_ q: [Float], _ pages: Pages, _ tokens: ClosedRange<Int>) -> [Float] {
        let blocks = stride(from: 0, to: q.count, by: 32).map { Array(q[$0..<min($0 + 32, q.count)]) }
        let scales = blocks.map { ($0.map(abs).max() ?? 0) / 127 }
        let quants = zip(blocks, scales).map { block, scale in
            block.map { scale == 0 ? 0 : Int(max(-127, min(127, ($0 / scale).rounded(.toNearestOrEven)))) }
        }
        return tokens.map { token in
            let page = pages.keys[token / 64]
            var sum: Float = 0
            for (b, block) in quants.enumerated() {
                var dot = 0
                for (d, x) in block.enumerated() { dot += x * pages.keyQuant(page, token % 64, 32 * b + d) }
                sum = sum.addingProduct(Float(dot), pages.keyScale(page, token % 64, b) * scales[b])
            }
            return sum
        }
    }

    static func merge(_ a: Partial?, _ b: Partial?) -> Partial? {
        guard let a else { return b }
        guard let b else { return a }
        let m = max(a.m, b.m)
        let fa = exponential(a.m - m)
        let fb = exponential(b.m - m)
        return Partial(
            m: m, l: (b.l * fb).addingProduct(a.l, fa), o: zip(a.o, b.o).map { ($1 * fb).addingProduct($0, fa) })
    }
}

/// A sum in sixteen lanes, then lanes 8, 4, 2 and 1 apart.
func sum16(_ x: [Float]) -> Float {
    var lanes = [Float](repeating: 0, count: 16)
    for (i, value) in x.enumerated() { lanes[i % 16] += value }
    for apart in [8, 4, 2, 1] {
        for j in 0..<apart { lanes[j] += lanes[j + apart] }
    }
    return lanes[0]
}

/// What the kernels under test make of some rows: their states after `slots`, cut into `parts` runs that are merged in the
/// tree. Every instruction set that this machine runs is tried, and all must have the same bits.
func kernelStates(
    _ queries: [[Float]], visible: [Int], _ pages: Pages, slots: Range<Int> = 0..<64, parts: Int = 1
) -> [Partial?] {
    let found = InstructionSet.available.map { instructions in
        kernelStates(queries, visible: visible, pages, slots: slots, parts: parts, instructions: instructions)
    }
    for other in found { #expect(other.map { $0?.bits } == found[0].map { $0?.bits }) }
    return found[0]
}

private func kernelStates(
    _ queries: [[Float]], visible: [Int], _ pages: Pages, slots: Range<Int>, parts: Int, instructions: InstructionSet
) -> [Partial?] {
    let headDim = pages.headDim
    let rowCount = queries.count
    let stateBytes = attentionStateBytes(rowCount: rowCount, headDim: headDim)
    let scratchBytes = attentionScratchBytes(rowCount: rowCount, headDim: headDim)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: stateBytes * parts + scratchBytes, alignment: 8)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xFF, count: stateBytes * parts + scratchBytes)
    let floats = UnsafeMutablePointer<Float>.allocate(capacity: rowCount * headDim + 1)
    defer { floats.deallocate() }
    var rows: [UnsafePointer<Float>] = []
    for (i, query) in queries.enumerated() {
        (floats + i * headDim).initialize(from: query, count: headDim)
        rows.append(UnsafePointer(floats + i * headDim))
    }
    var states = (0..<parts).map { AttentionState(memory + $0 * stateBytes, rowCount: rowCount, headDim: headDim) }
    let size = slots.count / parts
    for part in 0..<parts {
        let first = slots.lowerBound + part * size
        attend(
            queries: rows, visible: visible, rowCount: rowCount, keyPages: pages.keys, valuePages: pages.values,
            headDim: headDim, type: pages.type, slots: first..<first + size, state: states[part],
            scratch: memory + stateBytes * parts, instructions: instructions)
    }
    while states.count > 1 {
        for i in 0..<states.count / 2 { mergeAttention(states[2 * i + 1], into: states[2 * i]) }
        states = (0..<states.count / 2).map { states[2 * $0] }
    }
    return (0..<rowCount).map { row in
        if states[0].l[row] == 0 { return nil }
        let o = (0..<headDim).map { states[0].o[row * headDim + $0] }
        return Partial(m: states[0].m[row], l: states[0].l[row], o: o)
    }
}
