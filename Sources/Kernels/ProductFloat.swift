// Float weights times float activations with AVX2: 16 rows, six tokens at a time; one token with four panels at a time.
//
// K is cut into chunks whose weights (converted to f32 once) stay in the L1 cache while all tokens pass; the sums
// wait in memory between chunks, which changes no bit.

#if arch(x86_64)
    import Core
    import _Builtin_intrinsics.intel

    /// Panels summed together: hides the latency of the multiply-adds of one token, and reuses activations of many.
    let panelsAtOnce = 8

    /// Tokens that pass a chunk of weights: their activations stay in the L2 cache.
    let floatTokensAtOnce = 96

    /// Columns of a chunk.
    private let chunk = 256

    /// A chunk of one panel in f32 (integer leaves need less).
    let leafScratchBytes = chunk * 64

    /// y[panel][token][16] <- the sum over `columns` of some panels.
    func floatLeaf(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, columns: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
    ) {
        guard let rows = x.floats else { preconditionFailure("float weights meet float activations") }
        let size = w.type == .f32 ? 64 : 32
        let panelBytes = PanelMatrix.panelBytes(type: w.type, columns: w.columns)
        let base = w.panel(panels.lowerBound) + columns.lowerBound * size
        if tokens.count == 1 {
            let row = rows + tokens.lowerBound * x.floatStride + columns.lowerBound
            vector(base, panelBytes, panels: panels.count, type: w.type, row, columns.count, y)
            return
        }
        y.update(repeating: 0, count: panels.count * tokens.count * 16)
        var at = 0
        while at < columns.count {
            let depth = min(chunk, columns.count - at)
            let row = rows + tokens.lowerBound * x.floatStride + columns.lowerBound + at
            for p in 0..<panels.count {
                var weights = base + p * panelBytes + at * size
                if w.type != .f32 {
                    convert(weights, type: w.type, columns: depth, into: scratch)
                    weights = UnsafeRawPointer(scratch)
                }
                tiles(weights, depth, row, x.floatStride, tokens.count, y + p * tokens.count * 16)
            }
            at += depth
        }
    }

    /// Sixteen weights as two vectors of f32.
    @inline(__always)
    private func widened(_ w: UnsafeRawPointer, type: WeightType) -> (SIMD8<Float>, SIMD8<Float>) {
        switch type {
        case .f32: return (eightFloats(w), eightFloats(w, 32))
        case .bf16:
            let a = _mm256_cvtepu16_epi32(w.loadUnaligned(as: SIMD2<Int64>.self))
            let b = _mm256_cvtepu16_epi32(w.loadUnaligned(fromByteOffset: 16, as: SIMD2<Int64>.self))
            return (
                unsafeBitCast(unsafeBitCast(a, to: SIMD8<UInt32>.self) &<< 16, to: SIMD8<Float>.self),
                unsafeBitCast(unsafeBitCast(b, to: SIMD8<UInt32>.self) &<< 16, to: SIMD8<Float>.self)
            )
        default: return (eightHalves(w, 0), eightHalves(w, 16))
        }
    }

    /// Weights of a chunk as f32.
    private func convert(
        _ w: UnsafeRawPointer, type: WeightType, columns: Int, into scratch: UnsafeMutableRawPointer
    ) {
        @inline(__always) func all(_ type: WeightType) {
            for k in 0..<columns {
                let (a, b) = widened(w + 32 &* k, type: type)
                scratch.storeBytes(of: a, toByteOffset: 64 &* k, as: SIMD8<Float>.self)
                scratch.storeBytes(of: b, toByteOffset: 64 &* k &+ 32, as: SIMD8<Float>.self)
            }
        }
        if type == .bf16 { all(.bf16) } else { all(.f16) }
    }

    // MARK: - Many tokens

    /// Adds `depth` columns of one panel times `tokens` rows to `y` [token][16].
    private func tiles(
        _ w: UnsafeRawPointer, _ depth: Int, _ x: UnsafePointer<Float>, _ stride: Int, _ tokens: Int,
        _ y: UnsafeMutablePointer<Float>
    ) {
        var t = 0
        while t &+ 6 <= tokens {
            tile6(w, depth, x + t &* stride, stride, y + t &* 16)
            t &+= 6
        }
        while t < tokens {
            tile1(w, depth, x + t &* stride, y + t &* 16)
            t &+= 1
        }
    }

    @inline(__always) private func put(_ v: SIMD8<Float>, _ y: UnsafeMutablePointer<Float>, _ offset: Int) {
        UnsafeMutableRawPointer(y).storeBytes(of: v, toByteOffset: offset, as: SIMD8<Float>.self)
    }

    private func tile6(
        _ w: UnsafeRawPointer, _ depth: Int, _ x: UnsafePointer<Float>, _ stride: Int, _ y: UnsafeMutablePointer<Float>
    ) {
        var y00 = eightFloats(y), y01 = eightFloats(y, 32), y10 = eightFloats(y, 64), y11 = eightFloats(y, 96)
        var y20 = eightFloats(y, 128), y21 = eightFloats(y, 160), y30 = eightFloats(y, 192), y31 = eightFloats(y, 224)
        var y40 = eightFloats(y, 256), y41 = eightFloats(y, 288), y50 = eightFloats(y, 320), y51 = eightFloats(y, 352)
        let x3 = x + 3 &* stride
        for k in 0..<depth {
            let w0 = eightFloats(w, 64 &* k), w1 = eightFloats(w, 64 &* k &+ 32)
            var v = SIMD8<Float>(repeating: x[k])
            y00.addProduct(w0, v)
            y01.addProduct(w1, v)
            v = SIMD8<Float>(repeating: x[k &+ stride])
            y10.addProduct(w0, v)
            y11.addProduct(w1, v)
            v = SIMD8<Float>(repeating: x[k &+ 2 &* stride])
            y20.addProduct(w0, v)
            y21.addProduct(w1, v)
            v = SIMD8<Float>(repeating: x3[k])
            y30.addProduct(w0, v)
            y31.addProduct(w1, v)
            v = SIMD8<Float>(repeating: x3[k &+ stride])
            y40.addProduct(w0, v)
            y41.addProduct(w1, v)
            v = SIMD8<Float>(repeating: x3[k &+ 2 &* stride])
            y50.addProduct(w0, v)
            y51.addProduct(w1, v)
        }
        put(y00, y, 0)
        put(y01, y, 32)
        put(y10, y, 64)
        put(y11, y, 96)
        put(y20, y, 128)
        put(y21, y, 160)
        put(y30, y, 192)
        put(y31, y, 224)
        put(y40, y, 256)
        put(y41, y, 288)
        put(y50, y, 320)
        put(y51, y, 352)
    }

    private func tile1(_ w: UnsafeRawPointer, _ depth: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>)
    {
        var y0 = eightFloats(y), y1 = eightFloats(y, 32)
        for k in 0..<depth {
            let v = SIMD8<Float>(repeating: x[k])
            y0.addProduct(eightFloats(w, 64 &* k), v)
            y1.addProduct(eightFloats(w, 64 &* k &+ 32), v)
        }
        put(y0, y, 0)
        put(y1, y, 32)
    }

    // MARK: - One token

    /// y[panel][16] <- panels times one row; one copy for each type.
    private func vector(
        _ w: UnsafeRawPointer, _ panelBytes: Int, panels: Int, type: WeightType, _ x: UnsafePointer<Float>,
        _ depth: Int, _ y: UnsafeMutablePointer<Float>
    ) {
        switch type {
        case .f32: vectorBody(w, panelBytes, panels: panels, type: .f32, x, depth, y)
        case .bf16: vectorBody(w, panelBytes, panels: panels, type: .bf16, x, depth, y)
        default: vectorBody(w, panelBytes, panels: panels, type: .f16, x, depth, y)
        }
    }

    @inline(__always)
    private func vectorBody(
        _ w: UnsafeRawPointer, _ panelBytes: Int, panels: Int, type: WeightType, _ x: UnsafePointer<Float>,
        _ depth: Int, _ y: UnsafeMutablePointer<Float>
    ) {
        let size = type == .f32 ? 64 : 32
        var p = 0
        while p &+ 4 <= panels {
            let a = w + p &* panelBytes, b = a + panelBytes, c = b + panelBytes, d = c + panelBytes
            var a0 = SIMD8<Float>(repeating: 0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0
            for k in 0..<depth {
                let v = SIMD8<Float>(repeating: x[k])
                var (l, h) = widened(a + size &* k, type: type)
                a0.addProduct(l, v)
                a1.addProduct(h, v)
                (l, h) = widened(b + size &* k, type: type)
                b0.addProduct(l, v)
                b1.addProduct(h, v)
                (l, h) = widened(c + size &* k, type: type)
                c0.addProduct(l, v)
                c1.addProduct(h, v)
                (l, h) = widened(d + size &* k, type: type)
                d0.addProduct(l, v)
                d1.addProduct(h, v)
            }
            let z = y + p &* 16
            put(a0, z, 0)
            put(a1, z, 32)
            put(b0, z, 64)
            put(b1, z, 96)
            put(c0, z, 128)
            put(c1, z, 160)
            put(d0, z, 192)
            put(d1, z, 224)
            p &+= 4
        }
        while p < panels {
            var y0 = SIMD8<Float>(repeating: 0), y1 = y0
            for k in 0..<depth {
                let v = SIMD8<Float>(repeating: x[k])
                let (l, h) = widened(w + p &* panelBytes + size &* k, type: type)
                y0.addProduct(l, v)
                y1.addProduct(h, v)
            }
            put(y0, y, p &* 64)
            put(y1, y, p &* 64 &+ 32)
            p &+= 1
        }
    }
#endif
