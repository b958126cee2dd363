import Kernels
import Testing

@Suite struct GateTests {
    @Test("the gate has its twin's bits and is g sigmoid(g) u", arguments: [1, 7, 8, 21, 64])
    func gate(count: Int) {
        var draws = Draws(UInt64(count))
        let gate = draws.floats(count, scale: 20)
        let up = draws.floats(count)
        var h = [Float](repeating: .nan, count: count)
        swiglu(gate: gate, up: up, into: &h, count: count)
        #expect(h == (0..<count).map { gate[$0] / (1 + exponential(0 - gate[$0])) * up[$0] })
        for i in 0..<count {
            let exact = Double(gate[i]) / (1 + power(-Double(gate[i]))) * Double(up[i])
            #expect(abs(Double(h[i]) - exact) <= abs(exact) * 1e-6)
        }
    }

    @Test("a gate far below closes, far above passes")
    func ends() {
        var h: [Float] = [1, 1]
        swiglu(gate: [-1e5, 1e5], up: [2, 2], into: &h, count: 2)
        #expect(h == [0, 2e5])
    }
}
