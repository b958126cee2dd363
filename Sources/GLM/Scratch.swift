import Core
import KVCache
import Kernels

/// The working memory of a stage, sized for the longest step so far: nothing is allocated inside a step of a known size.
final class Scratch {
    /// What sizes the buffers, besides the tokens of a step.
    struct Shape {
        var hidden: Int
        var queryWidth: Int
        var kvWidth: Int
        var ffn: Int
        var subtrees: Int
        var rotaryPairs: Int
        var threads: Int
        var attentionRows: Int
        var headDim: Int
        var sequencePages: Int
    }

    let shape: Shape
    private var regions: [MemoryRegion] = []
    private var stateMemory: MemoryRegion
    private(set) var tokens = 0
    private var pageAddresses = UnsafeMutableBufferPointer<UnsafeMutableRawPointer>.allocate(capacity: 256)

    private(set) var x: UnsafeMutablePointer<Float>  // [tokens, hidden], the residual stream
    private(set) var normed: UnsafeMutablePointer<Float>  // [tokens, hidden]
    private(set) var query: UnsafeMutablePointer<Float>  // [tokens, heads headDim]
    private(set) var key: UnsafeMutablePointer<Float>  // [tokens, KV heads headDim]
    private(set) var value: UnsafeMutablePointer<Float>  // [tokens, KV heads headDim]
    private(set) var attended: UnsafeMutablePointer<Float>  // [tokens, heads headDim]
    private(set) var gate: UnsafeMutablePointer<Float>  // [tokens, ffn]
    private(set) var up: UnsafeMutablePointer<Float>  // [tokens, ffn]
    private(set) var roots: [UnsafeMutablePointer<Float>] = []  // per subtree [tokens, hidden]
    var known: [SubtreeRoot] = []  // the roots that a sum is made of, this rank's and the others'
    private(set) var cosines: UnsafeMutablePointer<Float>  // [tokens, rotary pairs]
    private(set) var sines: UnsafeMutablePointer<Float>  // [tokens, rotary pairs]
    private(set) var activations: UnsafeMutableRawPointer  // int8 blocks of the widest input
    private(set) var product: [UnsafeMutableRawPointer] = []  // per thread
    /// Attention's row pointers, visible positions, state and page scratch, per thread.
    private(set) var attention: [AttentionScratch] = []

    init(_ shape: Shape) throws {
        self.shape = shape
        let none = try MemoryRegion(byteCount: 64)
        let floats = none.base.bindMemory(to: Float.self, capacity: 16)
        (x, normed, query, key, value, attended) = (floats, floats, floats, floats, floats, floats)
        (gate, up, cosines, sines) = (floats, floats, floats, floats)
        activations = none.base
        regions = [none]
        stateMemory = none
        try reserve(tokens: 1)
    }

    /// Makes room for a step of `tokens` tokens. What the buffers held is lost when they grow.
    func reserve(tokens wanted: Int) throws {
        guard wanted > tokens else { return }
        // Powers of two, so that steps of slowly rising size do not reallocate each time.
        var tokens = 1
        while tokens < wanted { tokens *= 2 }
        regions.removeAll()
        x = try floats(tokens * shape.hidden)
        normed = try floats(tokens * shape.hidden)
        query = try floats(tokens * shape.queryWidth)
        key = try floats(tokens * shape.kvWidth)
        value = try floats(tokens * shape.kvWidth)
        attended = try floats(tokens * shape.queryWidth)
        gate = try floats(tokens * shape.ffn)
        up = try floats(tokens * shape.ffn)
        cosines = try floats(tokens * shape.rotaryPairs)
        sines = try floats(tokens * shape.rotaryPairs)
        roots = try (0..<shape.subtrees).map { _ in try floats(tokens * shape.hidden) }
        let widest = max(shape.hidden, shape.queryWidth, shape.ffn)
        activations = try bytes(activationBytes(tokens: tokens, columns: widest))
        product = try (0..<shape.threads).map { _ in try bytes(productScratchBytes(tokens: tokens)) }
        attention = try (0..<shape.threads).map { _ in
            try AttentionScratch(shape) { try self.bytes($0) }
        }
        self.tokens = tokens
    }

    /// Room for attention's states of so many floats; valid until the next call.
    func states(floats: Int) throws -> UnsafeMutablePointer<Float> {
        if floats * 4 > stateMemory.byteCount { stateMemory = try MemoryRegion(byteCount: floats * 5) }
        return stateMemory.base.assumingMemoryBound(to: Float.self)
    }

    /// Room for the addresses of `entries` pages; valid until the next call.
    func pageTable(entries: Int) -> UnsafeMutablePointer<UnsafeMutableRawPointer> {
        if pageAddresses.count < entries {
            pageAddresses.deallocate()
            pageAddresses = .allocate(capacity: entries * 2)
        }
        guard let base = pageAddresses.baseAddress else { preconditionFailure("a page table has room for one entry") }
        return base
    }

    deinit { pageAddresses.deallocate() }

    private func bytes(_ count: Int) throws -> UnsafeMutableRawPointer {
        let region = try MemoryRegion(byteCount: count)
        regions.append(region)
        return region.base
    }

    private func floats(_ count: Int) throws -> UnsafeMutablePointer<Float> {
        try bytes(count * 4).bindMemory(to: Float.self, capacity: count)
    }
}

/// One thread's memory for one call of `attend`.
struct AttentionScratch: @unchecked Sendable {
    let queries: UnsafeMutablePointer<UnsafePointer<Float>>  // [rows]
    let outputs: UnsafeMutablePointer<UnsafeMutablePointer<Float>>  // [rows]
    let visible: UnsafeMutablePointer<Int>  // [rows]
    let state: UnsafeMutableRawPointer
    let pages: UnsafeMutableRawPointer
    // For sparse attention alone; memory that is not touched costs nothing.
    let tokens: UnsafeMutablePointer<Int>  // [rows]
    let choice: UnsafeMutableRawPointer

    init(_ shape: Scratch.Shape, allocate: (Int) throws -> UnsafeMutableRawPointer) throws {
        let (rows, headDim) = (shape.attentionRows, shape.headDim)
        queries = try allocate(rows * 8).bindMemory(to: UnsafePointer<Float>.self, capacity: rows)
        outputs = try allocate(rows * 8).bindMemory(to: UnsafeMutablePointer<Float>.self, capacity: rows)
        visible = try allocate(rows * 8).bindMemory(to: Int.self, capacity: rows)
        state = try allocate(attentionStateBytes(rowCount: rows, headDim: headDim))
        pages = try allocate(attentionScratchBytes(rowCount: rows, headDim: headDim))
        tokens = try allocate(rows * 8).bindMemory(to: Int.self, capacity: rows)
        choice = try allocate(
            pageChoiceScratchBytes(rowCount: rows, headDim: headDim, pageCount: shape.sequencePages))
    }
}
