// Float weights times float activations with AVX2: 16 rows, six tokens at a time; one token with four panels at a time.
// Where there is AVX-512 its tiles take all of up to 48 tokens, and more tokens with four panels at a time.
//
// K is cut into chunks whose weights stay in the caches while all tokens pass; the sums wait in memory between chunks,
// which changes no bit. Memory is read in four streams, one a panel: a single one gets half of the bandwidth.

#if arch(x86_64)
    import Core
    import KernelsV4
    import _Builtin_intrinsics.intel

    /// Panels summed together: four streams from memory, and enough sums of one token to hide their latency.
    let panelsAtOnce = 4

    /// Tokens that pass a chunk of weights: their activations stay in the L2 cache.
    let floatTokensAtOnce = 256

    /// Columns of a chunk: a panel's weights and six tokens' activations fit the L1 cache.
    private let chunk = 256

    /// A chunk of every panel in f32 (integer leaves need less).
    let leafScratchBytes = panelsAtOnce * chunk * 64

    /// y[panel][token][16] <- the sum over `columns` of some panels.
    func floatLeaf(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, columns: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        guard let rows = x.floats else { preconditionFailure("float weights meet float activations") }
        let size = w.type == .f32 ? 64 : 32
        let panelBytes = PanelMatrix.panelBytes(type: w.type, columns: w.columns)
        let base = w.panel(panels.lowerBound) + columns.lowerBound * size
        let row = rows + tokens.lowerBound * x.floatStride + columns.lowerBound
        if instructions == .v4, tokens.count <= fewTokens {
            fewFloats(
                base, type: w.type, panelBytes: panelBytes, panels: panels.count, columns: columns.count, row,
                stride: x.floatStride, tokens: tokens.count, into: y)
            return
        }
        y.update(repeating: 0, count: panels.count * tokens.count * 16)
        // So few tokens read every weight once: nothing to keep in a cache, or to fetch ahead.
        let isDirect = tokens.count <= (w.type == .f32 ? 6 : 2)
        let depth = isDirect ? columns.count : chunk
        // Up to twelve tokens are two tiles at most: to convert weights twice costs less than to store them.
        let convertsAhead = w.type != .f32 && tokens.count > 12
        let isWide = instructions == .v4 && panels.count == floatPanelsAtOnce
        var at = 0
        while at < columns.count {
            let shape = (panels: panels.count, columns: min(depth, columns.count - at), tokens: tokens.count)
            let weights = base + at * size
            if isWide {
                let isStored = w.type == .f32
                if !isStored {
                    convertFloats(
                        weights, type: w.type, panelBytes: panelBytes, columns: shape.columns, into: scratch)
                }
                let isLast = columns.lowerBound + at + shape.columns == w.columns
                let next = isLast ? w.panel(panels.upperBound) : weights + shape.columns * size
                addFloats(
                    isStored ? weights : UnsafeRawPointer(scratch),
                    panelBytes: isStored ? panelBytes : shape.columns * 64, columns: shape.columns, row + at,
                    stride: x.floatStride, tokens: shape.tokens, into: y,
                    next: Ahead(first: next, panelBytes: panelBytes, bytes: shape.columns * size))
            } else if convertsAhead {
                if w.type == .bf16 {
                    Stored<16>.convert(weights, panelBytes, shape, into: scratch)
                } else {
                    Stored<5>.convert(weights, panelBytes, shape, into: scratch)
                }
                Stored<32>.add(scratch, shape.columns * 64, row + at, x.floatStride, shape, y)
            } else {
                if !isDirect {
                    touch(weights, panelBytes, shape.panels, byteCount: shape.columns * size, scratch)
                }
                switch w.type {
                case .f32: Stored<32>.add(weights, panelBytes, row + at, x.floatStride, shape, y)
                case .bf16: Stored<16>.add(weights, panelBytes, row + at, x.floatStride, shape, y)
                default: Stored<5>.add(weights, panelBytes, row + at, x.floatStride, shape, y)
                }
            }
            at += shape.columns
        }
    }

    /// Panels, columns and tokens of one step.
    private typealias Shape = (panels: Int, columns: Int, tokens: Int)

    /// Brings a chunk of every panel into the L2 cache; `sink` only keeps the reads alive.
    private func touch(
        _ w: UnsafeRawPointer, _ stride: Int, _ panels: Int, byteCount: Int, _ sink: UnsafeMutableRawPointer
    ) {
        var sum: Int32 = 0
        var at = 0
        while at < byteCount {
            for p in 0..<panels { sum &+= w.loadUnaligned(fromByteOffset: p &* stride &+ at, as: Int32.self) }
            at &+= 64
        }
        sink.storeBytes(of: sum, as: Int32.self)
    }

    /// Weights as a panel stores them: `E` is 32 for f32, 16 for bf16, 5 (bits of exponent) for f16.
    ///
    /// A parameter of the type, not an argument: the compiler folds copies that differ in an argument only into one
    /// that branches at every column.
    private enum Stored<let E: Int> {
        /// Bytes of a column.
        @inline(__always)
        static var size: Int { E == 32 ? 64 : 32 }

        /// Sixteen weights as two vectors of f32.
        @inline(__always)
        static func widened(_ w: UnsafeRawPointer) -> (SIMD8<Float>, SIMD8<Float>) {
            if E == 32 { return (eightFloats(w), eightFloats(w, 32)) }
            if E == 5 { return (eightHalves(w, 0), eightHalves(w, 16)) }
            let a = _mm256_cvtepu16_epi32(w.loadUnaligned(as: SIMD2<Int64>.self))
            let b = _mm256_cvtepu16_epi32(w.loadUnaligned(fromByteOffset: 16, as: SIMD2<Int64>.self))
            return (
                unsafeBitCast(unsafeBitCast(a, to: SIMD8<UInt32>.self) &<< 16, to: SIMD8<Float>.self),
                unsafeBitCast(unsafeBitCast(b, to: SIMD8<UInt32>.self) &<< 16, to: SIMD8<Float>.self)
            )
        }

        /// Weights of a chunk as f32, [panel][column][16].
        @inline(never)
        static func convert(
            _ w: UnsafeRawPointer, _ stride: Int, _ shape: Shape, into scratch: UnsafeMutableRawPointer
        ) {
            for k in 0..<shape.columns {
                for p in 0..<shape.panels {
                    let (a, b) = widened(w + p &* stride + size &* k)
                    let cell = scratch + (p &* shape.columns &+ k) &* 64
                    cell.storeBytes(of: a, as: SIMD8<Float>.self)
                    cell.storeBytes(of: b, toByteOffset: 32, as: SIMD8<Float>.self)
                }
            }
        }

        /// Adds a chunk of some panels, `panelBytes` apart, times some tokens to `y` [panel][token][16].
        @inline(never)
        static func add(
            _ w: UnsafeRawPointer, _ panelBytes: Int, _ x: UnsafePointer<Float>, _ stride: Int, _ shape: Shape,
            _ y: UnsafeMutablePointer<Float>
        ) {
            let depth = shape.columns
            var p = 0
            while p < shape.panels {
                let left = shape.panels &- p
                let w = w + p &* panelBytes
                let y = y + p &* shape.tokens &* 16
                if shape.tokens == 1 && left >= 4 {
                    Tile<1, 4, E>.add(w, panelBytes, depth, x, stride, y)
                    p &+= 4
                } else if shape.tokens == 2 && left >= 2 {
                    Tile<2, 2, E>.add(w, panelBytes, depth, x, stride, y)
                    p &+= 2
                } else {
                    panel(w, depth, x, stride, shape.tokens, y)
                    p &+= 1
                }
            }
        }

        /// Adds a chunk of one panel times some tokens to `y` [token][16].
        @inline(__always)
        private static func panel(
            _ w: UnsafeRawPointer, _ depth: Int, _ x: UnsafePointer<Float>, _ stride: Int, _ tokens: Int,
            _ y: UnsafeMutablePointer<Float>
        ) {
            var t = 0
            while t < tokens {
                // Small tiles cannot hide the latency of their sums: 8 tokens are 4 and 4, not 6 and 2.
                let left = tokens &- t
                let count = left == 6 || left >= 10 ? 6 : left > 6 ? (left &+ 1) / 2 : left
                let x = x + t &* stride
                let y = y + t &* 16
                switch count {
                case 6: Tile<6, 1, E>.add(w, 0, depth, x, stride, y)
                case 5: Tile<5, 1, E>.add(w, 0, depth, x, stride, y)
                case 4: Tile<4, 1, E>.add(w, 0, depth, x, stride, y)
                case 3: Tile<3, 1, E>.add(w, 0, depth, x, stride, y)
                case 2: Tile<2, 1, E>.add(w, 0, depth, x, stride, y)
                default: Tile<1, 1, E>.add(w, 0, depth, x, stride, y)
                }
                t &+= count
            }
        }
    }

    /// `N` tokens by `P` panels, all sums in registers (at most six by one, two by two, one by four).
    private enum Tile<let N: Int, let P: Int, let E: Int> {
        /// Adds `depth` columns to `y` [panel][token][16].
        @inline(__always)
        static func add(
            _ w: UnsafeRawPointer, _ panelBytes: Int, _ depth: Int, _ x: UnsafePointer<Float>, _ stride: Int,
            _ y: UnsafeMutablePointer<Float>
        ) {
            var low = InlineArray<P, InlineArray<N, SIMD8<Float>>> { p in
                InlineArray<N, SIMD8<Float>> { t in eightFloats(y, 64 &* (p &* N &+ t)) }
            }
            var high = InlineArray<P, InlineArray<N, SIMD8<Float>>> { p in
                InlineArray<N, SIMD8<Float>> { t in eightFloats(y, 64 &* (p &* N &+ t) &+ 32) }
            }
            for k in 0..<depth {
                for p in 0..<P {
                    let (a, b) = Stored<E>.widened(w + p &* panelBytes + Stored<E>.size &* k)
                    for t in 0..<N {
                        let v = SIMD8<Float>(repeating: x[k &+ t &* stride])
                        low[p][t].addProduct(a, v)
                        high[p][t].addProduct(b, v)
                    }
                }
            }
            let out = UnsafeMutableRawPointer(y)
            for p in 0..<P {
                for t in 0..<N {
                    out.storeBytes(of: low[p][t], toByteOffset: 64 &* (p &* N &+ t), as: SIMD8<Float>.self)
                    out.storeBytes(of: high[p][t], toByteOffset: 64 &* (p &* N &+ t) &+ 32, as: SIMD8<Float>.self)
                }
            }
        }
    }
#endif
