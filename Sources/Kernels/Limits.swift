// What a core can do at most: loops that keep everything in registers, and one that only reads.
//
// Each accumulator feeds its own next step, so that nothing can be hoisted, and there are enough of them to hide the
// latency. They are the measure of every speed that is given as a share.

#if arch(x86_64)
    import KernelsV4
    import _Builtin_intrinsics.intel
#endif

/// The loops behind `glm bench limits` and `glm bench kernels`; every function says how many operations (2 for a multiply-add) it did.
public enum Limits {
    /// Fused multiply-adds of floats. `seed` only keeps the result unknown to the compiler.
    @inline(never)
    public static func multiplyAdd(rounds: Int, seed: Float) -> (operations: Int, check: Float) {
        let a = SIMD8<Float>(repeating: 0.5 + seed * 0)
        let b = SIMD8<Float>(repeating: seed)
        var x0 = b, x1 = b + 1, x2 = b + 2, x3 = b + 3, x4 = b + 4, x5 = b + 5
        var x6 = b + 6, x7 = b + 7, x8 = b + 8, x9 = b + 9, x10 = b + 10, x11 = b + 11
        for _ in 0..<rounds {
            x0 = b.addingProduct(x0, a)
            x1 = b.addingProduct(x1, a)
            x2 = b.addingProduct(x2, a)
            x3 = b.addingProduct(x3, a)
            x4 = b.addingProduct(x4, a)
            x5 = b.addingProduct(x5, a)
            x6 = b.addingProduct(x6, a)
            x7 = b.addingProduct(x7, a)
            x8 = b.addingProduct(x8, a)
            x9 = b.addingProduct(x9, a)
            x10 = b.addingProduct(x10, a)
            x11 = b.addingProduct(x11, a)
        }
        let sum = ((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7)) + ((x8 + x9) + (x10 + x11))
        return (rounds * 12 * 16, sum.sum())
    }

    /// The fastest multiply-adds that code for `instructions` can do.
    public static func multiplyAdd(
        rounds: Int, seed: Float, instructions: InstructionSet
    ) -> (operations: Int, check: Float) {
        #if arch(x86_64)
            if instructions == .v4 { return multiplyAddLimit(rounds: rounds, seed: seed) }
        #endif
        return multiplyAdd(rounds: rounds, seed: seed)
    }

    /// The fastest products of bytes that code for `instructions` can do: vpmaddubsw, or vpdpbusd.
    public static func byteProducts(
        rounds: Int, seed: Int64, instructions: InstructionSet
    ) -> (operations: Int, check: Int64) {
        #if arch(x86_64)
            if instructions == .v4 { return byteProductLimit(rounds: rounds, seed: seed) }
        #endif
        return byteProducts(rounds: rounds, seed: seed)
    }

    #if arch(x86_64)
        /// Products of bytes added in int16. vpaddw can run beside vpmaddubsw at its full rate and is left out: with both, processors
        /// gave 59 to 75% of that rate here, as the loop happened to lie.
        @inline(never)
        public static func byteProducts(rounds: Int, seed: Int64) -> (operations: Int, check: Int64) {
            steps(rounds: rounds, seed: seed) { x, c in bytePairs(x, c) }
        }

        /// Products of bytes widened at once: vpmaddubsw + vpmaddwd + vpaddd.
        @inline(never)
        public static func widenedByteProducts(rounds: Int, seed: Int64) -> (operations: Int, check: Int64) {
            steps(rounds: rounds, seed: seed) { x, c in add32(x, widenedPairs(bytePairs(x, c))) }
        }

        /// Twelve chains of `step`, 32 multiply-adds each.
        @inline(__always)
        private static func steps(
            rounds: Int, seed: Int64, _ step: (ByteLanes, ByteLanes) -> ByteLanes
        ) -> (operations: Int, check: Int64) {
            let c = ByteLanes(repeating: seed)
            var x0 = c, x1 = c &+ 1, x2 = c &+ 2, x3 = c &+ 3, x4 = c &+ 4, x5 = c &+ 5
            var x6 = c &+ 6, x7 = c &+ 7, x8 = c &+ 8, x9 = c &+ 9, x10 = c &+ 10, x11 = c &+ 11
            for _ in 0..<rounds {
                x0 = step(x0, c)
                x1 = step(x1, c)
                x2 = step(x2, c)
                x3 = step(x3, c)
                x4 = step(x4, c)
                x5 = step(x5, c)
                x6 = step(x6, c)
                x7 = step(x7, c)
                x8 = step(x8, c)
                x9 = step(x9, c)
                x10 = step(x10, c)
                x11 = step(x11, c)
            }
            let all = ((x0 ^ x1) ^ (x2 ^ x3)) ^ ((x4 ^ x5) ^ (x6 ^ x7)) ^ ((x8 ^ x9) ^ (x10 ^ x11))
            return (rounds * 12 * 64, all.x ^ all.y ^ all.z ^ all.w)
        }
    #else
        /// Products of bytes added in int32, as far as the compiler can.
        @inline(never)
        public static func byteProducts(rounds: Int, seed: Int64) -> (operations: Int, check: Int64) {
            let c = Int32(truncatingIfNeeded: seed & 127)
            var x = SIMD8<Int32>(repeating: c)
            var y = x &+ 1
            for _ in 0..<rounds {
                x = x &+ x &* c
                y = y &+ y &* c
            }
            return (rounds * 32, Int64((x ^ y).wrappedSum()))
        }

        /// The same as `byteProducts`: there is no second way here.
        public static func widenedByteProducts(rounds: Int, seed: Int64) -> (operations: Int, check: Int64) {
            byteProducts(rounds: rounds, seed: seed)
        }
    #endif

    /// Reads every byte once, in four streams; `byteCount` a multiple of 1024. The result is the words' exclusive or.
    @inline(never)
    public static func read(_ p: UnsafeRawPointer, byteCount: Int) -> Int64 {
        let quarter = byteCount / 4
        let p1 = p + quarter, p2 = p1 + quarter, p3 = p2 + quarter
        var a = SIMD4<Int64>.zero, b = a, c = a, d = a, e = a, f = a, g = a, h = a
        var at = 0
        while at < quarter {
            a ^= p.loadUnaligned(fromByteOffset: at, as: SIMD4<Int64>.self)
            b ^= p.loadUnaligned(fromByteOffset: at &+ 32, as: SIMD4<Int64>.self)
            c ^= p1.loadUnaligned(fromByteOffset: at, as: SIMD4<Int64>.self)
            d ^= p1.loadUnaligned(fromByteOffset: at &+ 32, as: SIMD4<Int64>.self)
            e ^= p2.loadUnaligned(fromByteOffset: at, as: SIMD4<Int64>.self)
            f ^= p2.loadUnaligned(fromByteOffset: at &+ 32, as: SIMD4<Int64>.self)
            g ^= p3.loadUnaligned(fromByteOffset: at, as: SIMD4<Int64>.self)
            h ^= p3.loadUnaligned(fromByteOffset: at &+ 32, as: SIMD4<Int64>.self)
            at &+= 64
        }
        let all = ((a ^ b) ^ (c ^ d)) ^ ((e ^ f) ^ (g ^ h))
        return all.x ^ all.y ^ all.z ^ all.w
    }
}
