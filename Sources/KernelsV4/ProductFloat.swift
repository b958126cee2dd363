#if AVX512
    import CLinux
    public import Core
    import _Builtin_intrinsics.intel

    /// Panels of a tile: with six tokens their sums fill 24 of 32 registers, so that ten reads feed 24 multiply-adds.
    public let floatPanelsAtOnce = 4

    /// Weights of some columns of four panels as f32, [panel][column][16].
    ///
    /// - Shapes: `w` the first column of the first panel, the panels `panelBytes` apart; f16 or bf16, 32 bytes a column.
    public func convertFloats(
        _ w: UnsafeRawPointer, type: WeightType, panelBytes: Int, columns: Int, into scratch: UnsafeMutableRawPointer
    ) {
        @inline(__always) func convert(_ widened: (UnsafeRawPointer) -> SIMD16<Float>) {
            for p in 0..<floatPanelsAtOnce {
                let w = w + p &* panelBytes
                let out = scratch + p &* columns &* 64
                for k in 0..<columns {
                    out.storeBytes(of: widened(w + 32 &* k), toByteOffset: 64 &* k, as: SIMD16<Float>.self)
                }
            }
        }
        if type == .bf16 {
            convert(StoredFloat<16>.widened)
        } else {
            convert(StoredFloat<5>.widened)
        }
    }

    /// Weights of four panels that will be read soon: `bytes` of each, `panelBytes` apart.
    public struct Ahead {
        let first: UnsafeRawPointer
        let panelBytes: Int
        let bytes: Int

        /// Weights from `first` on.
        public init(first: UnsafeRawPointer, panelBytes: Int, bytes: Int) {
            self.first = first
            self.panelBytes = panelBytes
            self.bytes = bytes
        }
    }

    /// y[panel][token][16] <- y + the sum of f32 weights times activations over some columns of four panels.
    ///
    /// - Shapes: `w` the first column of the first panel, [column][16], the panels `panelBytes` apart; `x` [tokens][stride]
    ///   from the first column on.
    /// - Parameter next: what the next call will read, which is fetched meanwhile, a few lines with each tile.
    public func addFloats(
        _ w: UnsafeRawPointer, panelBytes: Int, columns: Int, _ x: UnsafePointer<Float>, stride: Int, tokens: Int,
        into y: UnsafeMutablePointer<Float>, next: Ahead
    ) {
        var t = 0
        var line = 0
        let lines = next.bytes / 64
        let perTile = lines * 6 / tokens + 1
        @inline(__always) func add<let N: Int>(_ tile: FloatTile<N>.Type) {
            let end = min(line &+ perTile, lines)
            while line < end {
                for p in 0..<floatPanelsAtOnce {
                    clinux_prefetch_later(next.first + (p &* next.panelBytes &+ 64 &* line))
                }
                line &+= 1
            }
            tile.add(w, panelBytes, columns, x + t &* stride, stride, y + t &* 16, tokens)
            t &+= N
        }
        while t &+ 6 <= tokens { add(FloatTile<6>.self) }
        switch tokens &- t {
        case 5: add(FloatTile<5>.self)
        case 4: add(FloatTile<4>.self)
        case 3: add(FloatTile<3>.self)
        case 2: add(FloatTile<2>.self)
        case 1: add(FloatTile<1>.self)
        default: break
        }
    }

    /// At most so many tokens meet weights on their way from memory; for more it is faster to unpack the weights first.
    public let fewTokens = 48

    /// y[panel][token][16] <- the sum of weights times activations over some columns of some panels, for at most `fewTokens` tokens.
    ///
    /// - Shapes: `w` the first column of the first panel, f32, bf16 or f16 [column][16], the panels `panelBytes` apart; `x` [tokens][stride]
    ///   from the first column on.
    public func fewFloats(
        _ w: UnsafeRawPointer, type: WeightType, panelBytes: Int, panels: Int, columns: Int,
        _ x: UnsafePointer<Float>, stride: Int, tokens: Int, into y: UnsafeMutablePointer<Float>
    ) {
        @inline(__always) func pass<let E: Int>(_ stored: StoredFloat<E>.Type, _ t: Int, _ count: Int) {
            @inline(__always) func add<let N: Int>(_ tile: FewTokens<N, E>.Type) {
                tile.add(w, panelBytes, panels, columns, x + t &* stride, stride, y + 16 &* t, tokens)
            }
            switch count {
            case 1: add(FewTokens<1, E>.self)
            case 2: add(FewTokens<2, E>.self)
            case 3: add(FewTokens<3, E>.self)
            case 4: add(FewTokens<4, E>.self)
            case 5: add(FewTokens<5, E>.self)
            case 6: add(FewTokens<6, E>.self)
            case 7: add(FewTokens<7, E>.self)
            default: add(FewTokens<8, E>.self)
            }
        }
        // Passes of the same size, or nearly: one of few tokens would wait for its sums, each step for the one before.
        let passes = (tokens &+ 7) / 8
        for i in 0..<passes {
            let t = tokens &* i / passes
            let count = tokens &* (i &+ 1) / passes &- t
            switch type {
            case .f32: pass(StoredFloat<32>.self, t, count)
            case .bf16: pass(StoredFloat<16>.self, t, count)
            default: pass(StoredFloat<5>.self, t, count)
            }
        }
    }

    /// Weights as a panel stores them: `E` is 32 for f32, 16 for bf16, 5 (bits of exponent) for f16.
    private enum StoredFloat<let E: Int> {
        /// Bytes of a column.
        @inline(__always)
        static var size: Int { E == 32 ? 64 : 32 }

        /// A column's sixteen weights.
        @inline(__always)
        static func widened(_ w: UnsafeRawPointer) -> SIMD16<Float> {
            if E == 32 { return w.loadUnaligned(as: SIMD16<Float>.self) }
            let halves = w.loadUnaligned(as: SIMD4<Int64>.self)
            if E == 5 { return _mm512_cvtph_ps(halves) }
            let words = unsafeBitCast(_mm512_cvtepu16_epi32(halves), to: SIMD16<UInt32>.self)
            return unsafeBitCast(words &<< 16, to: SIMD16<Float>.self)
        }
    }

    /// `N` tokens (at most eight): four panels at a time while their sums fit the registers, else two.
    private enum FewTokens<let N: Int, let E: Int> {
        @inline(never)
        static func add(
            _ w: UnsafeRawPointer, _ panelBytes: Int, _ panels: Int, _ columns: Int, _ x: UnsafePointer<Float>,
            _ stride: Int, _ y: UnsafeMutablePointer<Float>, _ tokens: Int
        ) {
            var p = 0
            @inline(__always) func tile<let P: Int>(_ shape: InlineArray<P, Void>) {
                while p &+ P <= panels {
                    sums(shape, w + p &* panelBytes, panelBytes, columns, x, stride, y + p &* tokens &* 16, tokens)
                    p &+= P
                }
            }
            if N <= 6 {
                tile(InlineArray<4, Void>(repeating: ()))
            } else {
                tile(InlineArray<2, Void>(repeating: ()))
            }
            tile(InlineArray<1, Void>(repeating: ()))
        }

        /// y[P][tokens][16] <- the sums of `P` panels, for `N` of the tokens.
        @inline(__always)
        private static func sums<let P: Int>(
            _ shape: InlineArray<P, Void>, _ w: UnsafeRawPointer, _ panelBytes: Int, _ columns: Int,
            _ x: UnsafePointer<Float>, _ stride: Int, _ y: UnsafeMutablePointer<Float>, _ tokens: Int
        ) {
            var sums = InlineArray<P, InlineArray<N, SIMD16<Float>>>(repeating: InlineArray(repeating: .zero))
            @inline(__always) func add(_ k: Int) {
                let weights = InlineArray<P, SIMD16<Float>> {
                    StoredFloat<E>.widened(w + ($0 &* panelBytes &+ StoredFloat<E>.size &* k))
                }
                for t in 0..<N {
                    let v = SIMD16<Float>(repeating: x[k &+ t &* stride])
                    for p in 0..<P { sums[p][t] = sums[p][t].addingProduct(weights[p], v) }
                }
            }
            var k = 0
            // One token's sums keep up with memory, and the processor sees far enough ahead itself.
            while N > 1 && k &+ 2 <= columns {
                for p in 0..<P {
                    let line = w + (p &* panelBytes &+ StoredFloat<E>.size &* k &+ ahead)
                    clinux_prefetch(line)
                    if E == 32 { clinux_prefetch(line + 64) }
                }
                add(k)
                add(k &+ 1)
                k &+= 2
            }
            while k < columns {
                add(k)
                k &+= 1
            }
            for p in 0..<P {
                for t in 0..<N { Sixteen(sums[p][t]).write(y + (p &* tokens &+ t) &* 16) }
            }
        }

        /// Bytes of a panel asked for ahead.
        @inline(__always)
        private static var ahead: Int { 1024 }
    }

    /// `N` tokens (at most six) by four panels, all sums in registers.
    private enum FloatTile<let N: Int> {
        /// Adds `columns` columns to `y` [panel][tokens][16].
        @inline(never)
        static func add(
            _ w: UnsafeRawPointer, _ panelBytes: Int, _ columns: Int, _ x: UnsafePointer<Float>, _ stride: Int,
            _ y: UnsafeMutablePointer<Float>, _ tokens: Int
        ) {
            let out = UnsafeMutableRawPointer(y)
            var sums = InlineArray<4, InlineArray<N, SIMD16<Float>>> { p in
                InlineArray<N, SIMD16<Float>> { t in
                    out.loadUnaligned(fromByteOffset: 64 &* (p &* tokens &+ t), as: SIMD16<Float>.self)
                }
            }
            for k in 0..<columns {
                for t in 0..<N {
                    let v = SIMD16<Float>(repeating: x[k &+ t &* stride])
                    for p in 0..<4 {
                        // Read once a column: the compiler sees that these are the same for every token.
                        let weights = w.loadUnaligned(
                            fromByteOffset: p &* panelBytes &+ 64 &* k, as: SIMD16<Float>.self)
                        sums[p][t] = sums[p][t].addingProduct(weights, v)
                    }
                }
            }
            for p in 0..<4 {
                for t in 0..<N {
                    out.storeBytes(of: sums[p][t], toByteOffset: 64 &* (p &* tokens &+ t), as: SIMD16<Float>.self)
                }
            }
        }
    }
#endif
