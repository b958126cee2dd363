import Kernels
import Testing

/// Golden numbers from a script of its own (numpy in f32, powers from 200-bit mpmath) by the formulas of the YaRN paper
/// (arXiv 2309.00071, sections 3.2 and 3.3) with the roundings of transformers' modeling_rope_utils.
@Suite struct RotaryScalingTests {
    struct Golden: Sendable {
        var base: Double
        var rotaryDim: Int
        var scaling: RotaryScaling
        var thetas: [UInt32]
    }

    static let goldens = [
        // The published advice for GLM-4-0414: the ramp runs from pair 17 to 30.
        Golden(
            base: 10_000, rotaryDim: 64, scaling: RotaryScaling(kind: .yarn, factor: 4, originalContext: 32_768),
            thetas: [
                0x3F80_0000, 0x3F3F_F911, 0x3F0F_F59A, 0x3ED7_E89B, 0x3EA1_E89B, 0x3E72_D423, 0x3E36_1887, 0x3E08_8D77,
                0x3DCC_CCCD, 0x3D99_940D, 0x3D66_55C2, 0x3D2C_BA15, 0x3D01_86E3, 0x3CC2_434F, 0x3C91_AD39, 0x3C5A_7BF2,
                0x3C23_D70A, 0x3BF5_B9B0, 0x3BAD_A31D, 0x3B74_7998, 0x3B2B_5FC2, 0x3AEF_17C6, 0x3AA5_D8E6, 0x3A64_916C,
                0x3A1C_4736, 0x39D3_B3AA, 0x398D_BE9E, 0x393B_1395, 0x38F2_50A0, 0x3899_04F9, 0x383A_7753, 0x380B_D472,
            ]),
        Golden(
            base: 10_000, rotaryDim: 16, scaling: RotaryScaling(kind: .yarn, factor: 4, originalContext: 4096),
            thetas: [
                0x3F80_0000, 0x3EA1_E89B, 0x3DCC_CCCD, 0x3CD2_7B30, 0x3BCC_CCCC, 0x3AB5_5671, 0x3983_126F, 0x38A5_CB60,
            ]),
        Golden(
            base: 5e6, rotaryDim: 64,
            scaling: RotaryScaling(kind: .yarn, factor: 8, originalContext: 131_072, truncatesRamp: false),
            thetas: [
                0x3F80_0000, 0x3F1E_165D, 0x3EC3_3F3A, 0x3E71_2429, 0x3E14_E963, 0x3DB7_EA1A, 0x3D63_251B, 0x3D0C_44BF,
                0x3CAD_3D5E, 0x3C55_F605, 0x3C04_2088, 0x3BA3_2F3E, 0x3B49_8AD3, 0x3AF8_EA93, 0x3A8F_4ABF, 0x3A19_DEB8,
                0x39A1_80F6, 0x3924_397E, 0x389F_4D16, 0x380E_FD43, 0x375C_6A2E, 0x36A8_7230, 0x3650_0A62, 0x3600_7896,
                0x359E_AB4B, 0x3543_F72A, 0x34F2_0755, 0x3495_75AB, 0x3438_975D, 0x33E3_FB18, 0x338C_C8E3, 0x332D_E091,
            ]),
        Golden(
            base: 1e8, rotaryDim: 64,
            scaling: RotaryScaling(kind: .yarn, factor: 2.5, originalContext: 1_048_576, betaFast: 24, betaSlow: 2),
            thetas: [
                0x3F80_0000, 0x3F0F_F59A, 0x3EA1_E89B, 0x3E36_1887, 0x3DCC_CCCD, 0x3D66_55C2, 0x3D01_86E3, 0x3C91_AD39,
                0x3C23_D70A, 0x3BB8_449C, 0x3B4F_3E38, 0x3AE9_1528, 0x3A83_126F, 0x3A13_6A16, 0x39A5_CB60, 0x393A_7753,
                0x38B8_8CA4, 0x3833_4183, 0x37A9_C602, 0x371B_23CA, 0x3686_37BD, 0x3616_F3CD, 0x35A9_C603, 0x353E_F0F9,
                0x34D6_BF95, 0x3471_8615, 0x3407_D19C, 0x3398_C0C6, 0x332B_CC77, 0x32C1_3811, 0x3259_4F60, 0x31F4_67A5,
            ]),
    ]

    @Test("YaRN's thetas are the reference's, bit for bit", arguments: goldens)
    func yarn(golden: Golden) {
        let table = RotaryTable(base: golden.base, rotaryDim: golden.rotaryDim, scaling: golden.scaling)
        #expect(table.inverseFrequencies.map(\.bitPattern) == golden.thetas)
    }

    @Test("YaRN multiplies cosines and sines by 0.1 ln(factor) + 1, or by what the model says")
    func attentionFactor() {
        #expect(RotaryScaling(kind: .yarn, factor: 4, originalContext: 4096).attentionFactor == 1.138629436111989)
        #expect(RotaryScaling(kind: .yarn, factor: 1, originalContext: 4096).attentionFactor == 1)
        #expect(RotaryScaling(kind: .linear, factor: 4, originalContext: 4096).attentionFactor == 1)
        let own = RotaryScaling(kind: .yarn, factor: 4, originalContext: 4096, attentionFactor: 1.5)
        let table = RotaryTable(base: 10_000, rotaryDim: 16, scaling: own)
        var cos = [Float](repeating: 0, count: 8)
        var sin = cos
        table.angles(position: 9000, into: &cos, &sin)
        for (i, theta) in table.inverseFrequencies.enumerated() {
            let twin = CircleTwin(9000 * theta)
            #expect(cos[i] == twin.cosine.float * 1.5 && sin[i] == twin.sine.float * 1.5)
        }
    }

    @Test("linear scaling divides every theta, fixed NTK scaling enlarges the base")
    func linearAndNTK() {
        let plain = RotaryTable(base: 10_000, rotaryDim: 64)
        let linear = RotaryTable(
            base: 10_000, rotaryDim: 64, scaling: RotaryScaling(kind: .linear, factor: 3, originalContext: 4096))
        #expect(linear.inverseFrequencies == plain.inverseFrequencies.map { $0 / 3 })
        let ntk = RotaryTable(
            base: 10_000, rotaryDim: 64, scaling: RotaryScaling(kind: .ntk, factor: 4, originalContext: 4096))
        // 10000 * 4^(64 / 62): the lowest frequency is divided by the factor, the highest kept.
        #expect(ntk.inverseFrequencies == RotaryTable(base: 41_829.365_928_899_48, rotaryDim: 64).inverseFrequencies)
        #expect(
            ntk.inverseFrequencies[0] == 1
                && abs(ntk.inverseFrequencies[31] * 4 / plain.inverseFrequencies[31] - 1) < 1e-6)
    }
}
