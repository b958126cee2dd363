import Testing

@testable import KVCache

@Suite("Memory regions")
struct MemoryRegionTests {
    @Test(
        "all of a region is zero and its own, whatever its size",
        arguments: [1, 4096, 5000, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (64 << 20) - 100, (64 << 20) + 4097])
    func whole(byteCount: Int) throws {
        let regions = try (0..<4).map { _ in try MemoryRegion(byteCount: byteCount) }
        for (index, region) in regions.enumerated() {
            #expect(region.byteCount == byteCount)
            let bytes = region.base.assumingMemoryBound(to: UInt8.self)
            #expect(bytes[0] == 0 && bytes[byteCount - 1] == 0)
            bytes[0] = UInt8(index + 1)
            bytes[byteCount - 1] = UInt8(index + 1)
        }
        for (index, region) in regions.enumerated() {
            let bytes = region.base.assumingMemoryBound(to: UInt8.self)
            #expect(bytes[0] == UInt8(index + 1) && bytes[byteCount - 1] == UInt8(index + 1))
        }
    }

    @Test("a large region begins where a large page does")
    func aligned() throws {
        for byteCount in [4 << 20, 9_437_184, 31_555_584] {
            let region = try MemoryRegion(byteCount: byteCount)
            #expect(UInt(bitPattern: region.base) % (2 << 20) == 0)
        }
    }
}
