#if AVX512
    import CLinux
    public import Core
    import _Builtin_intrinsics.intel

    /// 64 bytes in a register (`__m512i`).
    private typealias WideBytes = SIMD8<Int64>

    /// y[panel][token][16] <- the sum of integer weights times int8 activations over some blocks of some panels, with VNNI.
    ///
    /// vpdpbusd adds four products of an unsigned and a signed byte to an int32. Smaller quants are unsigned, some with half of
    /// their range added; signed bytes become so by adding 128. What was added comes back as that times the sum of the
    /// activations: all is exact in int32, so that the bits are those of `Kernels`.
    ///
    /// - Shapes: `first` the first panel; `index` the first block of each, skipped ones counted; `quants` [blocks][stride][32] and `scales`, `sums`,
    ///   `halfSums`, `scaledSums` [blocks][stride], from the first block and token on.
    public func integerLeaf(
        _ first: UnsafeRawPointer, panelBytes: Int, panels: Int, index: Int, type: WeightType,
        quants: UnsafeRawPointer, scales: UnsafePointer<Float>, sums: UnsafePointer<Int32>,
        halfSums: UnsafePointer<Int32>, scaledSums: UnsafePointer<Float>, stride: Int, blocks: Int, tokens: Int,
        into y: UnsafeMutablePointer<Float>
    ) {
        let a = BlockRun(
            quants: quants, scales: scales, sums: sums, halfSums: halfSums, scaledSums: scaledSums, stride: stride)
        @inline(__always) func add<let B: Int, let K: Int>(_ leaf: IntegerLeaf<B, K>.Type) {
            leaf.matrix(
                first, panelBytes: panelBytes, panels: panels, index: index, a, blocks, tokens, into: y,
                strides: (panel: 16 * tokens, token: 16))
        }
        switch type {
        case .q4: add(IntegerLeaf<4, 0>.self)
        case .q4m: add(IntegerLeaf<4, 1>.self)
        case .q4k: add(IntegerLeaf<4, 2>.self)
        case .q5: add(IntegerLeaf<5, 0>.self)
        case .q5m: add(IntegerLeaf<5, 1>.self)
        case .q5k: add(IntegerLeaf<5, 2>.self)
        case .q6k: add(IntegerLeaf<6, 3>.self)
        default: add(IntegerLeaf<8, 0>.self)
        }
    }

    /// y[rows] <- one root's sum for one token, for the rows of some panels, plus `bias`.
    ///
    /// - Shapes: `base` the matrix's first panel; `leaves` the columns of a power of two of leaves; activations as in `integerLeaf`,
    ///   from block 0 on; `scratch` 128 floats.
    public func integerToken(
        _ base: UnsafeRawPointer, panelBytes: Int, skippedBlocks: Int, rows: Int, type: WeightType, panels: Range<Int>,
        quants: UnsafeRawPointer, scales: UnsafePointer<Float>, sums: UnsafePointer<Int32>,
        halfSums: UnsafePointer<Int32>, scaledSums: UnsafePointer<Float>, stride: Int,
        leaves: UnsafeBufferPointer<Range<Int>>, into y: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let token = TokenProduct(
            base: base, panelBytes: panelBytes, skippedBlocks: skippedBlocks, rows: rows, leaves: leaves,
            activations: BlockRun(
                quants: quants, scales: scales, sums: sums, halfSums: halfSums, scaledSums: scaledSums, stride: stride),
            output: y, bias: bias, scratch: scratch)
        switch type {
        case .q4: IntegerLeaf<4, 0>.write(token, panels)
        case .q4m: IntegerLeaf<4, 1>.write(token, panels)
        case .q4k: IntegerLeaf<4, 2>.write(token, panels)
        case .q5: IntegerLeaf<5, 0>.write(token, panels)
        case .q5m: IntegerLeaf<5, 1>.write(token, panels)
        case .q5k: IntegerLeaf<5, 2>.write(token, panels)
        case .q6k: IntegerLeaf<6, 3>.write(token, panels)
        default: IntegerLeaf<8, 0>.write(token, panels)
        }
    }

    /// One type of weights, as `PackedRun` has them.
    enum IntegerLeaf<let B: Int, let K: Int> {
        /// One token: the sums stay in registers, and memory sets the pace.
        @inline(never)
        static func write(_ token: TokenProduct, _ panels: Range<Int>) {
            let pairs = PackedRun<B, K>.pairs(of: panels)
            token.write(panels: pairs) { (runs: InlineArray<2, PackedRun<B, K>>, a, blocks, y) in
                sums(runs, a, blocks, into: y)
            }
            token.write(panels: pairs.upperBound..<panels.upperBound) {
                (runs: InlineArray<1, PackedRun<B, K>>, a, blocks, y) in sums(runs, a, blocks, into: y)
            }
        }

        /// y[panel][16] <- the sums of some blocks of `N` panels, one or two, for one token.
        @inline(__always)
        private static func sums<let N: Int>(
            _ first: InlineArray<N, PackedRun<B, K>>, _ a: BlockRun, _ blocks: Int,
            into y: UnsafeMutablePointer<Float>
        ) {
            var sums = InlineArray<N, SIMD16<Float>>(repeating: .zero)
            var runs = first
            var left = first[0].left
            var q = a.quants
            var i = 0
            for _ in 0..<blocks {
                clinux_prefetch(q + BlockRun.bytesAhead &* a.stride)
                let isLast = PackedRun<B, K>.isLast(&left)
                @inline(__always) func add(_ n: Int) {
                    let weights = Unpacking(runs[n].block)
                    sums[n] = added(sums[n], { weights.pair($0) }, Scales(runs[n]), q, a, i)
                    runs[n].advance(isLast: isLast)
                }
                // No loop: the compiler leaves one of this length as it is, with its sums in memory.
                add(0)
                if N == 2 { add(1) }
                q += 32 &* a.stride
                i &+= a.stride
            }
            for n in 0..<N { Sixteen(sums[n]).write(y + 16 &* n) }
        }

        /// Several tokens: a block's unpacked weights stay in eight registers while they pass, the sums in the L1 cache, `strides`
        /// floats apart. One panel follows the other within one loop, so that the processor begins it before it is done with the last.
        @inline(never)
        static func matrix(
            _ base: UnsafeRawPointer, panelBytes: Int, panels: Int, index: Int, _ a: BlockRun, _ blocks: Int,
            _ tokens: Int, into y: UnsafeMutablePointer<Float>, strides: (panel: Int, token: Int)
        ) {
            let bytesAhead = PackedRun<B, K>.bytesAhead(tokens: tokens)
            for panel in 0..<panels {
                let y = y + panel &* strides.panel
                for t in 0..<tokens { Sixteen(repeating: 0).write(y + t &* strides.token) }
                var run = PackedRun<B, K>(panel: base + panel &* panelBytes, index: index)
                var left = run.left
                for b in 0..<blocks {
                    run.ask(bytesAhead: bytesAhead)
                    let weights = Unpacking(run.block)
                    // No array: it would lie on the stack, and be read from there for every token.
                    let unpacked = (weights.pair(0), weights.pair(1), weights.pair(2), weights.pair(3))
                    @inline(__always) func pair(_ j: Int) -> (WideBytes, WideBytes) {
                        j < 2 ? (j == 0 ? unpacked.0 : unpacked.1) : (j == 2 ? unpacked.2 : unpacked.3)
                    }
                    let scales = Scales(run)
                    let first = b &* a.stride
                    @inline(__always) func add(_ t: Int) {
                        let cell = UnsafeMutableRawPointer(y + t &* strides.token)
                        let sum = added(
                            cell.loadUnaligned(as: SIMD16<Float>.self), pair, scales,
                            a.quants + 32 &* (first &+ t), a, first &+ t)
                        cell.storeBytes(of: sum, as: SIMD16<Float>.self)
                    }
                    var t = 0
                    while t &+ 1 < tokens {
                        // The next block's activations lie elsewhere, two tokens a line.
                        clinux_prefetch(a.quants + 32 &* (first &+ t &+ a.stride))
                        add(t)
                        add(t &+ 1)
                        t &+= 2
                    }
                    if t < tokens { add(t) }
                    run.advance(isLast: PackedRun<B, K>.isLast(&left))
                }
            }
        }

        /// A block's weights as unsigned bytes, four columns of 16 rows in a vector. Lines are loaded in the order in which they lie, and
        /// used before the next one is where they can be: so one thread alone reads quants of a byte a tenth faster.
        private struct Unpacking {
            private let block: UnsafeRawPointer
            /// All lines of five- and six-bit blocks, whose higher bits come last.
            private let lines: InlineArray<6, WideBytes>

            @inline(__always)
            init(_ block: UnsafeRawPointer) {
                self.block = block
                lines = InlineArray { B != 4 && B != 8 && $0 < B ? Self.line(block, $0) : .zero }
            }

            @inline(__always)
            private static func line(_ block: UnsafeRawPointer, _ n: Int) -> WideBytes {
                clinux_loaded_64(block.loadUnaligned(fromByteOffset: 64 &* n, as: WideBytes.self))
            }

            /// Columns 8j..<8j+4 and 8j+4..<8j+8.
            @inline(__always)
            func pair(_ j: Int) -> (WideBytes, WideBytes) {
                if B == 8 {
                    return (Self.line(block, 2 &* j) ^ everyByte(0x80), Self.line(block, 2 &* j &+ 1) ^ everyByte(0x80))
                }
                let two = B == 4 ? Self.line(block, j) : lines[j]
                let low = two & everyByte(15)
                let high = two &>> 4 & everyByte(15)
                return B == 4 ? (low, high) : (low | more(2 &* j), high | more(2 &* j &+ 1))
            }

            /// What the nibbles lack: two bits, or one, for each k.
            @inline(__always)
            private func more(_ k: Int) -> WideBytes {
                let bits = B &- 4
                let high = lines[4 &+ k &* bits / 8]
                let place = Int64(4 &- k &* bits % 8)
                return (place > 0 ? high &<< place : high &>> (0 &- place)) & everyByte(B == 5 ? 0x10 : 0x30)
            }
        }

        @inline(__always)
        private static func everyByte(_ x: UInt8) -> WideBytes {
            unsafeBitCast(SIMD64<UInt8>(repeating: x), to: WideBytes.self)
        }

        /// What a block's sums are multiplied by, for 16 rows.
        private struct Scales {
            let scale: SIMD16<Float>
            let minima: SIMD16<Float>
            /// int32 of columns 0..<16 and 16..<32.
            let halves: (WideBytes, WideBytes)

            @inline(__always)
            init(_ run: PackedRun<B, K>) {
                let small = run.scales
                if K < 2 {
                    scale = Self.floats(small, 0)
                    minima = K == 1 ? Self.floats(small, 32) : .zero
                    halves = (.zero, .zero)
                } else if K == 2 {
                    // Exact: six bits times eleven.
                    scale = Self.unsigned(small, 0) * Self.floats(run.factors, 0)
                    minima = Self.unsigned(small, 16) * Self.floats(run.factors, 32)
                    halves = (.zero, .zero)
                } else {
                    scale = Self.floats(run.factors, 0)
                    minima = .zero
                    halves = (
                        _mm512_cvtepi8_epi32(small.loadUnaligned(as: SIMD2<Int64>.self)),
                        _mm512_cvtepi8_epi32(small.loadUnaligned(fromByteOffset: 16, as: SIMD2<Int64>.self))
                    )
                }
            }

            /// Sixteen half-precision numbers.
            @inline(__always)
            private static func floats(_ p: UnsafeRawPointer, _ offset: Int) -> SIMD16<Float> {
                _mm512_cvtph_ps(clinux_loaded_32(p.loadUnaligned(fromByteOffset: offset, as: SIMD4<Int64>.self)))
            }

            /// Sixteen unsigned bytes.
            @inline(__always)
            private static func unsigned(_ p: UnsafeRawPointer, _ offset: Int) -> SIMD16<Float> {
                _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(p.loadUnaligned(fromByteOffset: offset, as: SIMD2<Int64>.self)))
            }
        }

        /// A token's sums with one block added; `i` is the token's cell.
        @inline(__always)
        private static func added(
            _ sum: SIMD16<Float>, _ weights: (_ pair: Int) -> (WideBytes, WideBytes),
            _ scales: @autoclosure () -> Scales, _ q: UnsafeRawPointer, _ a: BlockRun, _ i: Int
        ) -> SIMD16<Float> {
            @inline(__always) func everyLane(_ x: Int32) -> WideBytes {
                unsafeBitCast(SIMD16<Int32>(repeating: x), to: WideBytes.self)
            }
            @inline(__always) func four(_ k: Int) -> WideBytes {
                everyLane(q.loadUnaligned(fromByteOffset: 4 &* k, as: Int32.self))
            }
            // Two sums, since each step waits for the one before (six-bit halves have one each, for their scales); they begin with what was
            // added too much.
            var first = WideBytes.zero
            var second = WideBytes.zero
            if K == 0 {
                first = everyLane(0 &- a.sums[i] &<< Int32(B &- 1))
            } else if K == 3 {
                let sums = a.halfSums[i]
                first = everyLane(Int32(Int16(truncatingIfNeeded: sums)) &* -32)
                second = everyLane((sums &>> 16) &* -32)
            }
            @inline(__always) func add(_ k: Int, _ w: WideBytes) {
                if (K == 3 ? k / 4 : k & 1) == 0 {
                    first = _mm512_dpbusd_epi32(first, w, four(k))
                } else {
                    second = _mm512_dpbusd_epi32(second, w, four(k))
                }
            }
            for j in 0..<4 {
                let (low, high) = weights(j)
                add(2 &* j, low)
                add(2 &* j &+ 1, high)
            }
            let scales = scales()
            if K == 3 {
                first = _mm512_mullo_epi32(first, scales.halves.0)
                second = _mm512_mullo_epi32(second, scales.halves.1)
            }
            let dot = unsafeBitCast(
                unsafeBitCast(first, to: SIMD16<Int32>.self) &+ unsafeBitCast(second, to: SIMD16<Int32>.self),
                to: WideBytes.self)
            let step = sum.addingProduct(_mm512_cvtepi32_ps(dot), scales.scale * SIMD16(repeating: a.scales[i]))
            return PackedRun<B, K>.hasMinima
                ? step.addingProduct(scales.minima, SIMD16(repeating: a.scaledSums[i])) : step
        }
    }
#endif
