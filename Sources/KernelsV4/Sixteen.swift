#if AVX512
    import _Builtin_intrinsics.intel

    /// The floats of one register.
    typealias Lanes = SIMD16<Float>
    /// The bits of one register's floats.
    typealias LaneBits = SIMD16<Int32>

    /// Sixteen floats, the unit of the hot code, in one register: see `SixteenInTwo`.
    struct Sixteen {
        private var all: SIMD16<Float>

        /// How many of them a row of attention's tile has: six rows fill 24 of 32 registers, and a page of keys is one tile.
        @inline(__always)
        static func tileColumns(rows: Int) -> Int { 4 }

        @inline(__always)
        init(_ all: SIMD16<Float>) { self.all = all }

        @inline(__always)
        init(repeating x: Float) { self.init(SIMD16(repeating: x)) }

        /// From any address.
        @inline(__always)
        init(_ p: UnsafePointer<Float>) { self.init(UnsafeRawPointer(p).loadUnaligned(as: SIMD16<Float>.self)) }

        /// Eight from any address, then zeros.
        @inline(__always)
        init(eight p: UnsafePointer<Float>) { self.init(SIMD16(lowHalf: lanes(p), highHalf: .zero)) }

        /// f16, from any address.
        @inline(__always)
        init(halves p: UnsafeRawPointer) { self.init(_mm512_cvtph_ps(p.loadUnaligned(as: SIMD4<Int64>.self))) }

        /// Eight f16, from any address, then zeros.
        @inline(__always)
        init(eightHalves p: UnsafeRawPointer) { self.init(SIMD16(lowHalf: widened(p), highHalf: .zero)) }

        /// Signed bytes.
        @inline(__always)
        init(signedBytes p: UnsafeRawPointer) {
            self.init(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(p.loadUnaligned(as: SIMD2<Int64>.self))))
        }

        /// The halves of eight bytes in order, low before high, minus eight.
        @inline(__always)
        init(nibbles p: UnsafeRawPointer) {
            let bytes = SIMD2(Int64(littleEndian: p.loadUnaligned(as: Int64.self)), 0)
            let inOrder = _mm_unpacklo_epi8(bytes & Self.lowHalves, (bytes &>> 4) & Self.lowHalves)
            self.init(nibbles: unsafeBitCast(_mm512_cvtepu8_epi32(inOrder), to: SIMD16<Int32>.self))
        }

        /// Eight signed bytes, then zeros.
        @inline(__always)
        init(eightSignedBytes p: UnsafeRawPointer) {
            let bytes = SIMD2(p.loadUnaligned(as: Int64.self), 0)
            self.init(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)))
        }

        /// The halves of four bytes in order, low before high, minus eight, then what counts for nothing.
        @inline(__always)
        init(eightNibbles p: UnsafeRawPointer) {
            let bytes = SIMD2(Int64(UInt32(littleEndian: p.loadUnaligned(as: UInt32.self))), 0)
            let inOrder = _mm_unpacklo_epi8(bytes & Self.lowHalves, (bytes &>> 4) & Self.lowHalves)
            self.init(nibbles: unsafeBitCast(_mm512_cvtepu8_epi32(inOrder), to: SIMD16<Int32>.self))
        }

        @inline(__always)
        private static var lowHalves: SIMD2<Int64> { SIMD2(repeating: 0x0f0f_0f0f_0f0f_0f0f) }

        @inline(__always)
        private init(nibbles x: SIMD16<Int32>) {
            self.init(_mm512_cvtepi32_ps(unsafeBitCast(x &- 8, to: SIMD8<Int64>.self)))
        }

        /// Writes all to any address.
        @inline(__always)
        func write(_ p: UnsafeMutablePointer<Float>) {
            UnsafeMutableRawPointer(p).storeBytes(of: all, as: SIMD16<Float>.self)
        }

        /// Writes the first eight to any address.
        @inline(__always)
        func writeEight(_ p: UnsafeMutablePointer<Float>) { store(all.lowHalf, p) }

        @inline(__always)
        static func + (a: Sixteen, b: Sixteen) -> Sixteen { Sixteen(a.all + b.all) }

        @inline(__always)
        static func - (a: Sixteen, b: Sixteen) -> Sixteen { Sixteen(a.all - b.all) }

        @inline(__always)
        static func * (a: Sixteen, b: Sixteen) -> Sixteen { Sixteen(a.all * b.all) }

        /// self <- self + a b, rounded once.
        @inline(__always)
        mutating func addProduct(_ a: Sixteen, _ b: Sixteen) { all = all.addingProduct(a.all, b.all) }

        /// So many of them as are raised together: the registers have room for their steps.
        typealias Group = InlineArray<4, Sixteen>
        static let together = 4

        /// e to the power of each, none of which is above zero.
        @inline(__always)
        static func raised(_ x: Group) -> Group {
            let y = exponentials(InlineArray<4, Lanes> { x[$0].all }, isAtMostZero: true)
            return Group { Sixteen(y[$0]) }
        }
    }

    /// The greater of each pair of lanes; `b` where either is not a number, or where both are zero.
    @inline(__always)
    func greater(_ a: SIMD16<Float>, _ b: SIMD16<Float>) -> SIMD16<Float> { _mm512_max_ps(a, b) }

    /// The lesser of each pair of lanes; `b` where either is not a number, or where both are zero.
    @inline(__always)
    func lesser(_ a: SIMD16<Float>, _ b: SIMD16<Float>) -> SIMD16<Float> { _mm512_min_ps(a, b) }

    /// e to the power of each of eight lanes.
    @inline(__always)
    func exponential(_ x: SIMD8<Float>, isAtMostZero: Bool = false) -> SIMD8<Float> {
        exponential(SIMD16(lowHalf: x, highHalf: .zero), isAtMostZero: isAtMostZero).lowHalf
    }
#endif
