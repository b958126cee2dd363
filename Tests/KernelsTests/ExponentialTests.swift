import Glibc
import Kernels
import Testing

/// e^x in Double, for comparison.
func power(_ x: Double) -> Double { exp(x) }

@Suite struct ExponentialTests {
    @Test("e^x is within 2 units in the last place from -87.3 to 88.3")
    func accuracy() {
        var draws = Draws(11)
        var worst = 0.0
        for _ in 0..<20_000 {
            let x = draws.float() * 87.8 + 0.5
            let exact = exp(Double(x))
            worst = max(worst, abs(Double(exponential(x)) - exact) / Double(Float(exact).ulp))
        }
        #expect(worst < 2)
    }

    @Test("e^x is 1 at 0, 0 far below, infinite far above and NaN at NaN")
    func ends() {
        #expect(exponential(0) == 1)
        #expect(exponential(-0.0) == 1)
        #expect(exponential(-.infinity).bitPattern == 0)
        #expect(exponential(-100).bitPattern == 0)
        #expect(exponential(.infinity) == .infinity)
        #expect(exponential(1e6) == .infinity)
        #expect(exponential(.nan).isNaN)
    }

    @Test("the logarithm is within 1 unit in the last place")
    func logarithms() {
        var draws = Draws(12)
        for _ in 0..<5_000 {
            let x = Float(exp(Double(draws.float()) * 80))
            let exact = log(Double(x))
            #expect(abs(Double(logarithm(x)) - exact) <= Double(Float(exact).ulp))
        }
        for x: Float in [1, 2, 0.5, 1.4142135, 1.4142137, 0.70710677, 1.0000001, 0.99999994, .leastNormalMagnitude] {
            #expect(abs(Double(logarithm(x)) - log(Double(x))) <= Double(Float(log(Double(x))).ulp))
        }
        #expect(logarithm(1) == 0)
        #expect(logarithm(0) == -.infinity)
        #expect(logarithm(-1).isNaN)
        #expect(logarithm(.nan).isNaN)
        #expect(logarithm(.infinity) == .infinity)
    }
}
