import Checkpoint
import Core
import Foundation
import KVCache
import Testing
import Threads

@testable import GLM

@Suite("Packed weights kept")
struct PackedCacheTests {
    private func stage(_ cache: PackedCache?, threads: Int = 2, type: WeightType? = nil) throws -> Stage {
        let checkpoint = try Checkpoint.open(Golden("glm-hf-f32").model)
        let description = try ModelDescription(checkpoint)
        let configuration = description.configuration
        return try Stage(
            description: description,
            slice: .whole(layers: configuration.layers, vocabulary: configuration.vocabulary), source: checkpoint,
            type: type, kvPages: 64, cache: cache, threads: threads, progress: { _ in })
    }

    private func logits(_ stage: Stage) throws -> [UInt32] {
        let segment = Segment(
            sequence: SequenceID(1), start: 0, tokens: [5, 9, 77, 3, 120, 31], output: .logits)
        guard
            case .results(let results) = try stage.run(
                Step(number: 1, epoch: 1, segments: [segment]), input: nil, collective: SoloCollective())
        else { return [] }
        return results.flatMap { $0.logits.map(\.bitPattern) }
    }

    private func files(_ folder: URL) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).sorted {
            $0.path < $1.path
        }
    }

    @Test("a second start maps what the first one packed, with the same bits; damaged files are packed anew")
    func kept() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let cache = try #require(PackedCache(folder: folder.path, digest: "abc"))
        for type in [nil, WeightType.q4, .q8] {
            let first = try stage(cache, type: type)
            #expect(first.weights.matrices.allSatisfy { $0.missing != nil })
            let expected = try logits(first)
            try first.keepWeights(in: cache)
            let second = try stage(cache, threads: 1, type: type)
            #expect(second.weights.matrices.allSatisfy { $0.missing == nil })
            #expect(second.weightBytes == first.weightBytes)
            #expect(try logits(second) == expected)
        }
        // Another model's weights are not found.
        let other = try stage(PackedCache(folder: folder.path, digest: "abd"))
        #expect(other.weights.matrices.allSatisfy { $0.missing != nil })
        let expected = try logits(stage(nil))
        for (index, file) in try files(folder).enumerated() {
            var bytes = try Data(contentsOf: file)
            switch index % 3 {
            case 0: bytes[(2 << 20) + index % (bytes.count - (2 << 20))] ^= 1
            case 1: bytes.removeLast()
            default: bytes[index % 40] ^= 0x80
            }
            try bytes.write(to: file)
        }
        let mended = try stage(cache)
        #expect(mended.weights.matrices.allSatisfy { $0.missing != nil })
        #expect(try logits(mended) == expected)
    }

    @Test(
        "a large matrix is mapped where files have large pages, and read where not: the same bytes, checked both ways")
    func large() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let cache = try #require(PackedCache(folder: folder.path, digest: "abc"))
        let team = Team(size: 2, name: "test")
        let count = 20 << 20 | 12_345
        let matrix = try MemoryRegion(byteCount: count)
        for place in stride(from: 0, to: count, by: 8) {
            matrix.base.storeBytes(of: UInt8(truncatingIfNeeded: place &* 31 >> 7), toByteOffset: place, as: UInt8.self)
        }
        let path = folder.appendingPathComponent("a.pack").path
        try cache.write(path, UnsafeRawBufferPointer(start: matrix.base, count: count))
        let found = try #require(cache.find(path, byteCount: count, team: team))
        #expect(found.byteCount == count && memcmp(found.base, matrix.base, count) == 0)
        let file = open(path, O_RDWR)
        defer { close(file) }
        let ways = [PackedCache.mapped, PackedCache.read].compactMap { $0(file, count, team) }
        #expect(ways.allSatisfy { $0.sums == ways[0].sums && memcmp($0.region.base, matrix.base, count) == 0 })
        // One byte, in the last piece.
        var byte: UInt8 = 77
        #expect(pwrite(file, &byte, 1, off_t((2 << 20) + count - 1)) == 1)
        #expect(cache.find(path, byteCount: count, team: team) == nil)
        #expect(cache.find(path, byteCount: count - 1, team: team) == nil)
    }

    @Test("the folder keeps to its limit: what was used longest ago goes, and what a killed worker left half written")
    func limit() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let cache = try #require(PackedCache(folder: folder.path, digest: "abc"))
        for index in 0..<5 {
            let name = index == 4 ? "x.pack.aBcDeF" : "\(index).pack"
            let path = folder.appendingPathComponent(name).path
            _ = FileManager.default.createFile(atPath: path, contents: Data(count: 1000))
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -20_000 + 1000 * Double(index))], ofItemAtPath: path)
        }
        cache.makeRoom(for: 500, limit: 2600)
        #expect(try files(folder).map(\.lastPathComponent) == ["2.pack", "3.pack"])
        #expect(PackedCache(folder: "/proc/none", digest: "abc") == nil)
    }
}
