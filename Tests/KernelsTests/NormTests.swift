import Kernels
import Testing

@Suite struct NormTests {
    @Test("the norm has its twin's bits, tails included", arguments: [1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1_029])
    func norm(count: Int) {
        var draws = Draws(UInt64(count))
        let x = draws.floats(count, scale: 5)
        let weight = draws.floats(count)
        var lanes = [Float](repeating: 0, count: 16)
        for i in 0..<count { lanes[i % 16] = lanes[i % 16].addingProduct(x[i], x[i]) }
        let r = 1 / (sum16(lanes) / Float(count) + 1e-5).squareRoot()
        var y = [Float](repeating: .nan, count: count)
        rmsNorm(x, weight: weight, eps: 1e-5, count: count, into: &y)
        #expect(y == (0..<count).map { x[$0] * r * weight[$0] })
        let mean = x.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
        for i in 0..<count {
            let exact = Double(x[i]) / (mean + 1e-5).squareRoot() * Double(weight[i])
            #expect(abs(Double(y[i]) - exact) <= abs(exact) * 1e-6)
        }
    }

    @Test("adding adds each element", arguments: [1, 8, 13, 40])
    func adding(count: Int) {
        var draws = Draws(2)
        let x = draws.floats(count)
        var y = draws.floats(count)
        let expected = zip(y, x).map { $0 + $1 }
        add(x, into: &y, count: count)
        #expect(y == expected)
    }
}
