import Core
import Glibc
import Testing

@testable import KVCache

@Suite("Page pool")
struct PagePoolTests {
    private func id(_ n: UInt64) -> SequenceID { SequenceID(n) }

    private func pool(pages: Int, share: KVShare = .whole(kvHeads: 1)) throws -> PagePool {
        try PagePool(layers: 2, share: share, halfBytes: 128, boundBytes: 16, pages: pages)
    }

    /// The byte that a page of a sequence begins with.
    private func address(_ pool: PagePool, _ sequence: SequenceID, _ place: Int, head: Int = 0) -> UnsafeMutablePointer<
        UInt8
    > {
        let count = pool.pageCount(of: sequence)
        var keys = [UnsafeMutableRawPointer](
            repeating: UnsafeMutableRawPointer(bitPattern: 8).unsafelyUnwrapped, count: count)
        var values = keys
        pool.pages(of: sequence, layer: 1, kvHead: head, keys: &keys, values: &values)
        return keys[place].assumingMemoryBound(to: UInt8.self)
    }

    @Test("a sequence grows by whole pages, and a gap or a repetition is refused")
    func grows() throws {
        let pool = try pool(pages: 3)
        try pool.extend(id(1), start: 0, count: 65)
        #expect(pool.used == 2 && pool.length(of: id(1)) == 65)
        try pool.extend(id(1), start: 65, count: 63)
        #expect(pool.used == 2)
        #expect(throws: Problem.self) { try pool.extend(id(1), start: 129, count: 1) }
        #expect(throws: Problem.self) { try pool.extend(id(1), start: 127, count: 1) }
        try pool.extend(id(1), start: 128, count: 64)
        #expect(throws: Problem.self) { try pool.extend(id(1), start: 192, count: 1) }
        pool.release(id(1))
        #expect(pool.used == 0)
        try pool.check()
    }

    @Test(
        "bounds are written once for a full page, found by all who share it, and forgotten when the page is used anew")
    func bounds() throws {
        let pool = try pool(pages: 4)
        func places(_ sequence: SequenceID) throws -> [Int] {
            try pool.pagesWithoutBounds(of: sequence).map(\.place)
        }
        try pool.extend(id(1), start: 0, count: 100)
        #expect(try places(id(1)) == [0])
        try pool.extend(id(1), start: 100, count: 60)
        #expect(try places(id(1)) == [1])
        #expect(try places(id(1)).isEmpty)
        // A copy of part of a page is another page.
        try pool.open(id(2), prefix: [PageRun(id(1), 0..<1)], copy: PageCopy(id(1), page: 1, tokens: 20))
        #expect(try places(id(2)).isEmpty)
        try pool.extend(id(2), start: 84, count: 44)
        #expect(try places(id(2)) == [1])
        var first = [UnsafeMutableRawPointer](
            repeating: UnsafeMutableRawPointer(bitPattern: 8).unsafelyUnwrapped, count: 3)
        var second = first
        pool.bounds(of: id(1), layer: 1, kvHead: 0, into: &first)
        pool.bounds(of: id(2), layer: 1, kvHead: 0, into: &second)
        #expect(first[0] == second[0] && first[1] != second[1])
        pool.bounds(of: id(1), layer: 0, kvHead: 0, into: &second)
        #expect(first[0] - second[0] == 16 && first[1] - second[0] >= 32)
        // What is cut off and computed again has other keys.
        pool.truncate(id(1), pages: 2)
        for sequence in [id(1), id(2)] { pool.release(sequence) }
        try pool.extend(id(3), start: 0, count: 130)
        #expect(try places(id(3)) == [0, 1])
    }

    @Test("sequences share pages by name, a copied page is one's own, and dropped pages are free whoever read them")
    func shares() throws {
        let pool = try pool(pages: 6)
        try pool.extend(id(1), start: 0, count: 3 * 64 - 10)
        address(pool, id(1), 0).pointee = 11
        address(pool, id(1), 2).pointee = 33
        try pool.open(id(2), prefix: [PageRun(id(1), 0..<2)], copy: PageCopy(id(1), page: 2, tokens: 30))
        #expect(pool.used == 4 && pool.length(of: id(2)) == 2 * 64 + 30)
        #expect(address(pool, id(2), 0) == address(pool, id(1), 0))
        #expect(address(pool, id(2), 2) != address(pool, id(1), 2) && address(pool, id(2), 2).pointee == 33)
        pool.close(id(1))
        pool.drop(PageRun(id(1), 2..<3))
        #expect(pool.used == 3)
        try pool.extend(id(2), start: 2 * 64 + 30, count: 64)
        // A third one begins with pages of both.
        try pool.open(id(3), prefix: [PageRun(id(1), 0..<2), PageRun(id(2), 2..<3)], copy: nil)
        #expect(address(pool, id(3), 0).pointee == 11 && address(pool, id(3), 2) == address(pool, id(2), 2))
        try pool.check()
        for sequence in [id(2), id(3)] { pool.close(sequence) }
        pool.drop(PageRun(id(2), 0..<9))
        pool.drop(PageRun(id(1), 0..<9))
        pool.drop(PageRun(id(1), 0..<9))
        #expect(pool.used == 0)
        try pool.check()
    }

    @Test("only guesses can be taken back; pages made for them stay, and bounds are written anew")
    func guesses() throws {
        let pool = try pool(pages: 4)
        try pool.extend(id(1), start: 0, count: 60)
        try pool.extend(id(1), start: 60, count: 10, guessed: 9)
        #expect(pool.used == 2 && pool.length(of: id(1)) == 70)
        #expect(try pool.pagesWithoutBounds(of: id(1)).map(\.place) == [0])
        #expect(throws: Problem.self) { try pool.extend(id(1), start: 60, count: 1) }
        #expect(throws: Problem.self) { try pool.extend(id(1), start: 71, count: 1) }
        try pool.extend(id(1), start: 63, count: 2)
        #expect(pool.used == 2 && pool.length(of: id(1)) == 65)
        #expect(try pool.pagesWithoutBounds(of: id(1)).map(\.place) == [0])
        #expect(throws: Problem.self) { try pool.extend(id(1), start: 64, count: 1) }
        try pool.check()
    }

    @Test("pages that are not there cannot be read, and a sequence does not begin twice")
    func refused() throws {
        let pool = try pool(pages: 4)
        try pool.extend(id(1), start: 0, count: 128)
        #expect(throws: Problem.self) { try pool.open(id(1), prefix: [], copy: nil) }
        #expect(throws: Problem.self) { try pool.open(id(2), prefix: [PageRun(id(1), 0..<3)], copy: nil) }
        #expect(throws: Problem.self) { try pool.open(id(3), prefix: [PageRun(id(1), 1..<2)], copy: nil) }
        #expect(throws: Problem.self) {
            try pool.open(id(4), prefix: [PageRun(id(1), 0..<1)], copy: PageCopy(id(1), page: 0, tokens: 3))
        }
        pool.drop(PageRun(id(1), 1..<2))
        #expect(throws: Problem.self) { try pool.open(id(5), prefix: [PageRun(id(1), 0..<2)], copy: nil) }
        try pool.check()
    }

    @Test("a worker holds the pages of its slots, for each KV head its own")
    func slots() throws {
        let pool = try pool(pages: 64, share: KVShare(slots: [0..<32, 32..<64]))
        try pool.extend(id(1), start: 0, count: 4 * 64)
        // Pages 0 and 2 are in the lower half of the slots, 1 and 3 in the upper.
        #expect(pool.used == 4)
        #expect(address(pool, id(1), 0) != address(pool, id(1), 2))
        #expect(address(pool, id(1), 1, head: 1) != address(pool, id(1), 3, head: 1))
    }

    @Test("a page that the disk's thread has is not given to anybody else before it lets go")
    func pinned() throws {
        let pool = try pool(pages: 2)
        try pool.extend(id(1), start: 0, count: 128)
        let lease = try #require(pool.lease([PageRun(id(1), 0..<2)]))
        pool.release(id(1))
        #expect(pool.used == 2)
        try pool.check()
        lease.end()
        try pool.extend(id(2), start: 0, count: 128)
        #expect(pool.used == 2)
        try pool.check()
    }

    @Test("pages of memory are taken first, and what they have no room for is a file's, with the same contents")
    func spills() throws {
        var template = Array("/tmp/glm-spill-XXXXXX".utf8CString)
        #expect(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(folder) }
        let pool = try PagePool(
            layers: 2, share: .whole(kvHeads: 1), halfBytes: 1024, pages: 6, memoryPages: 2, spillFolder: folder)
        try pool.extend(id(1), start: 0, count: 128)
        #expect(pool.spilled == 0)
        try pool.extend(id(2), start: 0, count: 256)
        #expect(pool.used == 6 && pool.spilled == 4)
        for place in 0..<4 { address(pool, id(2), place).pointee = UInt8(place + 1) }
        #expect((0..<4).map { address(pool, id(2), $0).pointee } == [1, 2, 3, 4])
        pool.release(id(1))
        try pool.extend(id(3), start: 0, count: 64)
        #expect(pool.spilled == 4, "memory that is free again is used first")
        try pool.check()
        // A disk that has no room is an error at the beginning, not a crash later.
        #expect(throws: Problem.self) {
            try PagePool(
                layers: 1, share: .whole(kvHeads: 1), halfBytes: 1 << 20, pages: 1 << 24, memoryPages: 2,
                spillFolder: folder)
        }
    }

    @Test("a sequence that was restored in part goes on from what is whole")
    func truncated() throws {
        let pool = try pool(pages: 8)
        try pool.open(id(1), prefix: [], copy: nil)
        try pool.makeLeased(id(1), first: 0, end: 5).end()
        #expect(pool.used == 5 && pool.length(of: id(1)) == 320)
        pool.truncate(id(1), pages: 2)
        #expect(pool.used == 2 && pool.length(of: id(1)) == 128)
        try pool.extend(id(1), start: 128, count: 200)
        try pool.check()
        pool.close(id(1))
        pool.drop(PageRun(id(1), 0..<64))
        #expect(pool.used == 0)
    }
}
