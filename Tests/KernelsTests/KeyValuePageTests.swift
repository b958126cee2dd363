import Kernels
import Testing

@Suite struct KeyValuePageTests {
    @Test("keys and values are read back as the nearest f16, ties to even, and never infinite")
    func rounding() {
        let headDim = 8
        let bytes = KeyValuePage.byteCount(headDim: headDim)
        #expect(bytes == 1_024)
        let page = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2)
        defer { page.deallocate() }
        let x: [Float] = [1 + 0x1p-11, 1 + 0x3p-11, 1e9, -1e9, 65_519, 65_520, 0x1p-25, -0.1]
        let expected: [Float16] = [1, 1 + 0x1p-9, 65_504, -65_504, 65_504, 65_504, 0, -0.1]
        for index in [0, 17, 63] {
            KeyValuePage.storeKey(x, in: page, at: index, headDim: headDim)
            for d in 0..<headDim {
                #expect(page.load(fromByteOffset: (d * 64 + index) * 2, as: Float16.self) == expected[d])
            }
            KeyValuePage.storeValue(x, in: page, at: index, headDim: headDim)
            for d in 0..<headDim {
                #expect(page.load(fromByteOffset: (index * headDim + d) * 2, as: Float16.self) == expected[d])
            }
        }
    }
}
