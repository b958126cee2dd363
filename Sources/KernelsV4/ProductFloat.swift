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
            convert { p in
                let words = _mm512_cvtepu16_epi32(p.loadUnaligned(as: SIMD4<Int64>.self))
                return unsafeBitCast(unsafeBitCast(words, to: SIMD16<UInt32>.self) &<< 16, to: SIMD16<Float>.self)
            }
        } else {
            convert { _mm512_cvtph_ps($0.loadUnaligned(as: SIMD4<Int64>.self)) }
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
