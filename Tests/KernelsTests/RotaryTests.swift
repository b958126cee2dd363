import Glibc
import Kernels
import Testing

@Suite struct RotaryTests {
    @Test("cosine and sine are right to f32 rounding up to 1,048,575 radians", arguments: angles)
    func accuracy(angle: UInt32, cosine: UInt32, sine: UInt32) {
        let found = cosineAndSine(Float(bitPattern: angle))
        #expect(found.cosine.bitPattern == cosine)
        #expect(found.sine.bitPattern == sine)
    }

    /// Where the kernel and the twin differ, or the twin cannot tell.
    private func faults(_ angles: some Sequence<Float>) -> [Float] {
        angles.filter { angle in
            let (found, twin) = (cosineAndSine(angle), CircleTwin(angle))
            return found.cosine.bitPattern != twin.cosine.float.bitPattern || found.sine != twin.sine.float
                || twin.cosine.isDoubtful || twin.sine.isDoubtful
        }
    }

    @Test(
        "every angle of the 1M model is right to f32 rounding",
        arguments: [0, 1, 63, 4095, 131_071, 524_287, 1_048_575])
    func million(position: Int) {
        // GLM-4-9B-Chat-1M: 64 rotated dimensions, base 10000, rope_ratio 10000.
        let table = RotaryTable(base: 10_000 * 10_000, rotaryDim: 64)
        #expect(table.inverseFrequencies.map(\.bitPattern) == millionThetas)
        #expect(faults(table.inverseFrequencies.map { Float(position) * $0 }) == [])
        var cos = [Float](repeating: 0, count: 32)
        var sin = cos
        table.angles(position: position, into: &cos, &sin)
        for (i, theta) in table.inverseFrequencies.enumerated() {
            let twin = CircleTwin(Float(position) * theta)
            #expect(cos[i] == twin.cosine.float && sin[i] == twin.sine.float)
        }
    }

    @Test("100,000 random angles up to 1.1 million are right to f32 rounding, and so are random bits up to 2^30")
    func random() {
        var draws = Draws(7)
        #expect(faults((0..<100_000).map { _ in Float(Double(draws.next() >> 11) * 0x1p-53 * 1.1e6) }) == [])
        let (least, most) = (Int(Float(0x1p-40).bitPattern), Int(Float(0x1p30).bitPattern))
        #expect(faults((0..<50_000).map { _ in Float(bitPattern: UInt32(least + draws.below(most - least))) }) == [])
    }

    @Test("the angles whose cosine or sine lies nearest to the middle of two f32 numbers round the right way")
    func middles() {
        // Of all f32 angles up to 2^30; the first is 0.35 units of a Double from its middle.
        let angles: [UInt32] = [
            0x4619_9998, 0x3C10_7FE6, 0x4371_ADE3, 0x3980_0000, 0x4247_90CE, 0x3A54_4395, 0x3EF3_830F, 0x45A8_ABB3,
        ]
        #expect(faults(angles.map(Float.init(bitPattern:))) == [])
    }

    @Test("theta is formed in f32 and an angle is one f32 product")
    func table() {
        let table = RotaryTable(base: 5e6, rotaryDim: 64)
        #expect(table.inverseFrequencies.count == 32)
        #expect(table.inverseFrequencies[0] == 1)
        for i in 0..<32 {
            #expect(table.inverseFrequencies[i] == 1 / Float(pow(5e6, Double(Float(2 * i) / 64))))
        }
        var cos = [Float](repeating: 0, count: 32)
        var sin = cos
        table.angles(position: 1_000_003, into: &cos, &sin)
        for i in 0..<32 {
            let expected = cosineAndSine(1_000_003 * table.inverseFrequencies[i])
            #expect(cos[i] == expected.cosine && sin[i] == expected.sine)
        }
    }

    @Test("adjacent pairs are rotated, the rest of the head is left alone", arguments: [2, 6, 8, 10, 16, 64])
    func rotation(rotaryDim: Int) {
        var draws = Draws(UInt64(rotaryDim))
        let head = draws.floats(rotaryDim + 3)
        let cos = draws.floats(rotaryDim / 2)
        let sin = draws.floats(rotaryDim / 2)
        var found = head
        applyRotary(&found, rotaryDim: rotaryDim, cos: cos, sin: sin)
        var expected = head
        for i in 0..<rotaryDim / 2 {
            let (a, b) = (head[2 * i], head[2 * i + 1])
            expected[2 * i] = (-(b * sin[i])).addingProduct(a, cos[i])
            expected[2 * i + 1] = (a * sin[i]).addingProduct(b, cos[i])
        }
        #expect(found == expected)
    }
}

/// The thetas of the 1M model as bits: numpy's f32 quotients of powers from 200-bit arithmetic (mpmath).
private let millionThetas: [UInt32] = [
    0x3F80_0000, 0x3F0F_F59A, 0x3EA1_E89B, 0x3E36_1887, 0x3DCC_CCCD, 0x3D66_55C2, 0x3D01_86E3, 0x3C91_AD39,
    0x3C23_D70A, 0x3BB8_449C, 0x3B4F_3E38, 0x3AE9_1528, 0x3A83_126F, 0x3A13_6A16, 0x39A5_CB60, 0x393A_7753,
    0x38D1_B717, 0x386B_DCF0, 0x3804_A2B2, 0x3795_2C42, 0x3727_C5AC, 0x36BC_B0C1, 0x3654_3784, 0x35EE_AD37,
    0x3586_37BD, 0x3516_F3CD, 0x34A9_C603, 0x343E_F0F8, 0x33D6_BF95, 0x3371_8615, 0x3307_D19C, 0x3298_C0C7,
]

/// Angle, cosine and sine as bits, from 200-bit arithmetic (mpmath): positions times thetas, random angles, and the f32 numbers
/// up to 2^20 that lie nearest to multiples of pi / 2.
private let angles: [(UInt32, UInt32, UInt32)] = [
    (0x00000000, 0x3F800000, 0x00000000),
    (0x3F800000, 0x3F0A5140, 0x3F576AA4),
    (0x3F1E165D, 0x3F50B847, 0x3F143ACB),
    (0x390BD472, 0x3F800000, 0x390BD472),
    (0x40000000, 0xBED51133, 0x3F68C7B7),
    (0x3F9E165D, 0x3EA8AFE1, 0x3F71B4F0),
    (0x398BD472, 0x3F7FFFFF, 0x398BD472),
    (0x40400000, 0xBF7D7026, 0x3E1081C3),
    (0x3FED218C, 0xBE8E5FE7, 0x3F75E736),
    (0x39D1BEAB, 0x3F7FFFFF, 0x39D1BEAB),
    (0x42C80000, 0x3F5CC0EE, 0xBF01A12E),
    (0x427702F1, 0x3EF1C7C3, 0xBF61A878),
    (0x3C5A7BF2, 0x3F7FFA2C, 0x3C5A7A4A),
    (0x457FF000, 0xBD871E6C, 0xBF7F7136),
    (0x451E0C7C, 0xBF7ACDF0, 0x3E4D419B),
    (0x3F0BCBB5, 0x3F5AC4FF, 0x3F04F364),
    (0x47800080, 0xBF78ECB7, 0xBE6F14F9),
    (0x471E16FB, 0x3F0DC434, 0x3F55299F),
    (0x410BD4FE, 0xBF4634CD, 0x3F2204F6),
    (0x47FFFF80, 0xBF51675E, 0xBF13430A),
    (0x479E160E, 0x3F7E45AF, 0x3DED8A35),
    (0x418BD42C, 0x3E4B46DA, 0xBF7AE7BA),
    (0x497FFFF0, 0x3F49BD23, 0xBF1D9959),
    (0x491E1653, 0x3F016FF7, 0xBF5CDDCD),
    (0x430BD469, 0xBCEC5703, 0x3F7FE4B8),
    (0x497FFFE0, 0xBDBCEBA3, 0xBF7EE892),
    (0x491E1649, 0xBDC2133F, 0xBF7ED914),
    (0x430BD461, 0xBCEB571E, 0x3F7FE4F3),
    (0x497422F0, 0x3DA1398B, 0x3F7F349C),
    (0x4916C2E4, 0x3F5ED126, 0x3EFC1993),
    (0x43055992, 0x3E2B0698, 0x3F7C677B),
    (0x3EA1D919, 0x3F7350D4, 0x3E9F2A81),
    (0x42AD8713, 0x3EB927F6, 0xBF6EAC8F),
    (0x423BD7DB, 0xBF7C9A52, 0x3E2644AF),
    (0x3BC83217, 0x3F7FFEC7, 0x3BC831C5),
    (0x3B65D644, 0x3F7FFF99, 0x3B65D625),
    (0x3AB4319A, 0x3F7FFFF0, 0x3AB43196),
    (0x4143AA20, 0x3F71925E, 0xBEA97580),
    (0x3C1DED5C, 0x3F7FFCF5, 0x3C1DECBC),
    (0x4433D978, 0xBF7FE886, 0x3CDB42D0),
    (0x42E2BEEB, 0x3F7657AE, 0x3E8B4DB8),
    (0x46F0B2B1, 0xBF77D252, 0x3E8061C2),
    (0x469824F2, 0xBF7761E8, 0x3E83B9D2),
    (0x3BF7DF8D, 0x3F7FFE20, 0x3BF7DEF2),
    (0x3FA281B8, 0x3E97E63D, 0x3F747967),
    (0x3D9B3FB1, 0x3F7F43CB, 0x3D9B19A3),
    (0x43B09E55, 0x3E439B9C, 0x3F7B4930),
    (0x4122690F, 0xBF3F77C8, 0xBF29EDF6),
    (0x3B27A4F2, 0x3F7FFFC9, 0x3B27A4E6),
    (0x4462D611, 0xBF56C3DD, 0x3F0B53AA),
    (0x3F822601, 0x3F06AEAF, 0x3F59B52F),
    (0x40F776D6, 0x3DF6A52F, 0x3F7E2300),
    (0x4653B6FE, 0xBF7F8E3B, 0xBD713EDC),
    (0x3E83221B, 0x3F77A63C, 0x3E81B44A),
    (0x42B6AB20, 0xBF795F57, 0xBE677EF4),
    (0x44C5DAC9, 0x3F5D7023, 0xBF0074FD),
    (0x47A491F3, 0xBF39E373, 0x3F3003FB),
    (0x411E4050, 0xBF64B655, 0xBEE603D2),
    (0x3D156F1A, 0x3F7FD464, 0x3D15669E),
    (0x3BB70FE6, 0x3F7FFEFA, 0x3BB70FA8),
    (0x45C2A392, 0xBE72444C, 0x3F78BB6D),
    (0x46E54B42, 0x3F250280, 0x3F43B946),
    (0x44D28100, 0x3F7D94AB, 0x3E0C7218),
    (0x4309A56D, 0x3F559692, 0xBF0D1FD9),
    (0x472D48C8, 0x3D9F3451, 0x3F7F39AF),
    (0x41CDB10E, 0x3F5650A8, 0x3F0C049F),
    (0x3C11BD2B, 0x3F7FFD68, 0x3C11BCAD),
    (0x448A1AAA, 0x3F08BA4D, 0xBF586DD5),
    (0x46131F7D, 0xBF5E4D97, 0xBEFDE87E),
    (0x40953D69, 0xBD472960, 0xBF7FB27C),
    (0x3B3722EC, 0x3F7FFFBE, 0x3B3722DC),
    (0x437CE5F1, 0xB18FD1DE, 0x3F800000),
    (0x43FCE5F1, 0xBF800000, 0xB20FD1DE),
    (0x4096CBE4, 0x324CDE2E, 0xBF800000),
    (0x474D246F, 0xB28B5715, 0x3F800000),
    (0x447CE5F1, 0x3F800000, 0x328FD1DE),
    (0x4116CBE4, 0xBF800000, 0xB2CCDE2E),
    (0x47CD246F, 0xBF800000, 0xB30B5715),
    (0x44FCE5F1, 0x3F800000, 0x330FD1DE),
    (0x4882665E, 0xB31386D1, 0xBF800000),
    (0x416231D6, 0xB319A6A2, 0x3F800000),
    (0x3FC90FDB, 0xB33BBD2E, 0x3F800000),
    (0x4196CBE4, 0x3F800000, 0x334CDE2E),
    (0x450BE628, 0x3377F042, 0x3F800000),
    (0x41BC7EDD, 0x33800ADD, 0xBF800000),
    (0x484D246F, 0x3F800000, 0x338B5715),
    (0x457CE5F1, 0x3F800000, 0x338FD1DE),
]
