import Core
import Kernels

/// One kernel at one size.
struct KernelCase {
    let name: String
    let isInteger: Bool
    /// Makes inputs; what is returned runs the kernel once and says how many operations (2 a multiply-add) that was.
    let prepare: () -> (InstructionSet) -> Int

    /// Billions of operations a second.
    var unit: String { isInteger ? "GOP/s" : "GFLOP/s" }

    /// The loop that its rate is a share of.
    func peak(_ instructions: InstructionSet) -> Int {
        isInteger
            ? Limits.byteProducts(rounds: 50_000, seed: 0x0102_0304, instructions: instructions).operations
            : Limits.multiplyAdd(rounds: 50_000, seed: 1, instructions: instructions).operations
    }

    /// Every kernel that `glm bench kernels` measures: attention as in prefill and in decode, then products.
    static func all() -> [KernelCase] {
        let shapes = [(headDim: 128, group: 16), (headDim: 32, group: 2)]
        let attentions = [192, 1].flatMap { tokens in
            shapes.flatMap { shape in
                [KVType.f16, .q8, .q4].map {
                    attention(type: $0, headDim: shape.headDim, group: shape.group, tokens: tokens)
                }
            }
        }
        let products = [512, 8, 1].flatMap { tokens in
            [WeightType.q4, .q4k, .q5, .q5k, .q6k, .q8, .f16].map { product(type: $0, size: 4096, tokens: tokens) }
        }
        return attentions + products
    }

    /// Attention of the last tokens of 32,768 over all of them, for the query heads of one KV head; at most 384 rows a call.
    private static func attention(type: KVType, headDim: Int, group: Int, tokens: Int) -> KernelCase {
        let rowCount = min(384, tokens * group)
        let what = rowCount == group ? "decode" : "prefill"
        return KernelCase(name: "attention \(type.name) heads of \(headDim) by \(group) \(what)", isInteger: false) {
            let context = 32_768
            let pageCount = context / Slots.pageTokens
            let pageBytes = KeyValuePage.byteCount(headDim: headDim, type: type)
            let pages = Memory(byteCount: 2 * pageCount * pageBytes)
            let keys = (0..<pageCount).map { UnsafeRawPointer(pages.base + 2 * $0 * pageBytes) }
            let values = keys.map { $0 + pageBytes }
            let numbers = Memory(floats: 4096 + headDim * (rowCount + 1))
            for token in 0..<context {
                let page = pages.base + token / Slots.pageTokens * 2 * pageBytes
                let x = numbers.floats + token * 37 % 4096
                let index = token % Slots.pageTokens
                KeyValuePage.storeKey(x, in: page, at: index, headDim: headDim, type: type)
                KeyValuePage.storeValue(x, in: page + pageBytes, at: index, headDim: headDim, type: type)
            }
            let queries = (0..<rowCount).map { UnsafePointer(numbers.floats + 4096 + $0 * headDim) }
            let visible = (0..<rowCount).map { context - 1 - $0 / group }
            let state = Memory(byteCount: attentionStateBytes(rowCount: rowCount, headDim: headDim))
            let scratch = Memory(byteCount: attentionScratchBytes(rowCount: rowCount, headDim: headDim))
            return { instructions in
                withExtendedLifetime((pages, numbers)) {
                    attend(
                        queries: queries, visible: visible, rowCount: rowCount, keyPages: keys, valuePages: values,
                        headDim: headDim, type: type, slots: 0..<Slots.count,
                        state: AttentionState(state.base, rowCount: rowCount, headDim: headDim), scratch: scratch.base,
                        instructions: instructions)
                }
                return 4 * headDim * rowCount * context
            }
        }
    }

    /// A square matrix times some tokens.
    private static func product(type: WeightType, size: Int, tokens: Int) -> KernelCase {
        let name = "product \(type.name) \(size) x \(size) of \(tokens)"
        return KernelCase(name: name, isInteger: type.isInteger) {
            // Types that nothing is rounded to come as a file has them; any bytes will do that are small numbers in half precision.
            let format = StoredFormat.allCases.first { $0.weightType == type && !type.isRoundedTo } ?? .f32
            let rowBytes = size / format.blockColumns * format.blockBytes
            let stored =
                format == .f32
                ? Memory(floats: size * PanelMatrix.panelRows)
                : Memory(byteCount: rowBytes * PanelMatrix.panelRows, filledWith: 0x2a)
            let panels = Memory(byteCount: PanelMatrix.byteCount(type: type, rows: size, columns: size))
            let w = PanelMatrix(type: type, rows: size, columns: size, base: panels.base)
            let panelBytes = PanelMatrix.panelBytes(type: type, columns: size)
            for panel in 0..<w.panelCount {
                packPanel(
                    into: panels.base + panel * panelBytes, type: type, from: stored.base, rowStride: rowBytes,
                    rowCount: PanelMatrix.panelRows, stored: format, columns: size)
            }
            let input = Memory(floats: size * tokens)
            let blocks = Memory(byteCount: activationBytes(tokens: tokens, columns: size))
            var x = Activations(floats: input.floats, stride: size, tokens: tokens, columns: size)
            if type.isInteger {
                x = Activations(buffer: blocks.base, tokens: tokens, columns: size)
                quantizeActivations(
                    input.floats, stride: size, tokens: 0..<tokens, columns: size, blocks: 0..<x.blocks, into: x)
            }
            let output = Memory(floats: size * tokens)
            let scratch = Memory(byteCount: productScratchBytes(tokens: tokens))
            return { [x] instructions in
                withExtendedLifetime((panels, input, blocks)) {
                    var out = output.floats
                    Kernels.product(
                        w, panels: 0..<w.panelCount, x, tokens: 0..<tokens, tree: .whole(size), into: &out,
                        outputStride: size, bias: nil, scratch: scratch.base, instructions: instructions)
                }
                return 2 * size * size * tokens
            }
        }
    }

    /// Memory on whole cache lines.
    private final class Memory {
        let base: UnsafeMutableRawPointer

        var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }

        init(byteCount: Int, filledWith byte: UInt8 = 0) {
            base = .allocate(byteCount: byteCount, alignment: 64)
            base.initializeMemory(as: UInt8.self, repeating: byte, count: byteCount)
        }

        /// Floats of between -2 and 2 that repeat nothing for long.
        convenience init(floats count: Int) {
            self.init(byteCount: 4 * count)
            for i in 0..<count { floats[i] = Float(i &* 7919 % 4001 &- 2000) / 1000 }
        }

        deinit { base.deallocate() }
    }
}
