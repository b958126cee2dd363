#if !AVX512
    #if arch(x86_64)
        import _Builtin_intrinsics.intel
    #endif

    /// The floats of one register.
    typealias Lanes = SIMD8<Float>
    /// The bits of one register's floats.
    typealias LaneBits = SIMD8<Int32>

    /// Sixteen floats, the unit of the hot code, in two registers; `KernelsV4` has the same in one.
    struct Sixteen {
        private var low: SIMD8<Float>
        private var high: SIMD8<Float>

        /// How many of them a row of attention's tile has: of sixteen registers six rows fill twelve, as three rows twice as wide do.
        @inline(__always)
        static func tileColumns(rows: Int) -> Int { rows <= 3 ? 2 : 1 }

        @inline(__always)
        init(_ low: SIMD8<Float>, _ high: SIMD8<Float>) {
            self.low = low
            self.high = high
        }

        @inline(__always)
        init(repeating x: Float) { self.init(SIMD8(repeating: x), SIMD8(repeating: x)) }

        /// From any address.
        @inline(__always)
        init(_ p: UnsafePointer<Float>) { self.init(lanes(p), lanes(p + 8)) }

        /// Eight from any address, then zeros.
        @inline(__always)
        init(eight p: UnsafePointer<Float>) { self.init(lanes(p), .zero) }

        /// f16, from any address.
        @inline(__always)
        init(halves p: UnsafeRawPointer) { self.init(widened(p), widened(p + 16)) }

        /// Eight f16, from any address, then zeros.
        @inline(__always)
        init(eightHalves p: UnsafeRawPointer) { self.init(widened(p), .zero) }

        /// Signed bytes.
        @inline(__always)
        init(signedBytes p: UnsafeRawPointer) {
            self.init(
                SIMD8<Float>(p.loadUnaligned(as: SIMD8<Int8>.self)),
                SIMD8<Float>((p + 8).loadUnaligned(as: SIMD8<Int8>.self)))
        }

        /// The halves of eight bytes in order, low before high, minus eight.
        @inline(__always)
        init(nibbles p: UnsafeRawPointer) {
            #if arch(x86_64)
                let halves = SIMD2<Int64>(repeating: 0x0f0f_0f0f_0f0f_0f0f)
                let bytes = SIMD2(p.loadUnaligned(as: Int64.self), 0)
                let inOrder = _mm_unpacklo_epi8(bytes & halves, (bytes &>> 4) & halves)
                self.init(
                    Self.nibbles(unsafeBitCast(_mm256_cvtepu8_epi32(inOrder), to: SIMD8<Int32>.self)),
                    Self.nibbles(
                        unsafeBitCast(_mm256_cvtepu8_epi32(SIMD2(inOrder[1], 0)), to: SIMD8<Int32>.self)))
            #else
                self.init(Self.nibblesInOrder(p), Self.nibblesInOrder(p + 4))
            #endif
        }

        /// Eight signed bytes, then zeros.
        @inline(__always)
        init(eightSignedBytes p: UnsafeRawPointer) {
            self.init(SIMD8<Float>(p.loadUnaligned(as: SIMD8<Int8>.self)), .zero)
        }

        /// The halves of four bytes in order, low before high, minus eight, then zeros.
        @inline(__always)
        init(eightNibbles p: UnsafeRawPointer) { self.init(Self.nibblesInOrder(p), .zero) }

        @inline(__always)
        private static func nibblesInOrder(_ p: UnsafeRawPointer) -> SIMD8<Float> {
            let word = Int32(littleEndian: p.loadUnaligned(as: Int32.self))
            let shifted = SIMD8<Int32>(repeating: word) &>> SIMD8<Int32>(0, 4, 8, 12, 16, 20, 24, 28)
            return nibbles(shifted & 15)
        }

        @inline(__always)
        private static func nibbles(_ x: SIMD8<Int32>) -> SIMD8<Float> { SIMD8<Float>(x &- 8) }

        /// Writes all to any address.
        @inline(__always)
        func write(_ p: UnsafeMutablePointer<Float>) {
            store(low, p)
            store(high, p + 8)
        }

        /// Writes the first eight to any address.
        @inline(__always)
        func writeEight(_ p: UnsafeMutablePointer<Float>) { store(low, p) }

        @inline(__always)
        static func + (a: Sixteen, b: Sixteen) -> Sixteen { Sixteen(a.low + b.low, a.high + b.high) }

        @inline(__always)
        static func - (a: Sixteen, b: Sixteen) -> Sixteen { Sixteen(a.low - b.low, a.high - b.high) }

        @inline(__always)
        static func * (a: Sixteen, b: Sixteen) -> Sixteen { Sixteen(a.low * b.low, a.high * b.high) }

        /// self <- self + a b, rounded once.
        @inline(__always)
        mutating func addProduct(_ a: Sixteen, _ b: Sixteen) {
            low = low.addingProduct(a.low, b.low)
            high = high.addingProduct(a.high, b.high)
        }

        /// So many of them as are raised together: the registers have room for their steps.
        typealias Group = InlineArray<2, Sixteen>
        static let together = 2

        /// e to the power of each, none of which is above zero.
        @inline(__always)
        static func raised(_ x: Group) -> Group {
            let lanes = InlineArray<4, Lanes> { $0 & 1 == 0 ? x[$0 / 2].low : x[$0 / 2].high }
            let y = exponentials(lanes, isAtMostZero: true)
            return Group { Sixteen(y[2 &* $0], y[2 &* $0 &+ 1]) }
        }
    }
#endif
