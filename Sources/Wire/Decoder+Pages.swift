import CProtobufC
import CWire
import Core

/// What is said about KV pages.
extension Decoder {
    /// Keys of 16 bytes each, the high half first, little-endian.
    private func keys(_ bytes: UnsafeBufferPointer<UInt8>) throws -> [PageKey] {
        guard bytes.count % 16 == 0 else {
            throw Problem.invalid("message: \(bytes.count) bytes are no whole number of page keys")
        }
        let raw = UnsafeRawBufferPointer(bytes)
        return stride(from: 0, to: raw.count, by: 16).map { at in
            PageKey(
                high: UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)),
                low: UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)))
        }
    }

    func keys(_ bytes: ProtobufCBinaryData) throws -> [PageKey] {
        try keys(UnsafeBufferPointer(start: bytes.data, count: bytes.data == nil ? 0 : bytes.len))
    }

    mutating func ready(_ ready: Wire__Ready) throws -> Ready {
        let stored = try bytes(ready.stored)
        return Ready(
            epoch: ready.epoch, weightBytes: try count(ready.weight_bytes), kvPages: try count(ready.kv_pages),
            kvPageBytes: try count(ready.kv_page_bytes),
            stored: ready.has_store != 0 ? try stored.withUnsafeBufferPointer { try keys($0) } : nil)
    }

    private func runs(
        _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<Wire__PageRun>?>?, count: Int
    ) throws -> [PageRun] {
        guard let pointers else { return [] }
        return try (0..<count).map { try run(the(pointers[$0])) }
    }

    private func run(_ run: Wire__PageRun) throws -> PageRun {
        PageRun(SequenceID(run.creator), try range(the(run.places)))
    }

    func change(_ change: Wire__KvChange) throws -> KVChange {
        switch change.change_case {
        case WIRE__KV_CHANGE__CHANGE_OPEN:
            let open = try the(change.open)
            let prefix = try runs(open.prefix, count: open.n_prefix)
            guard open.copy_tokens < UInt32(Slots.pageTokens) else {
                throw Problem.invalid("message: \(open.copy_tokens) tokens of a page to copy")
            }
            let copy = PageCopy(
                SequenceID(open.copy_creator), page: try count(open.copy_place), tokens: Int(open.copy_tokens))
            return .open(SequenceID(open.sequence), prefix: prefix, copy: copy.tokens > 0 ? copy : nil)
        case WIRE__KV_CHANGE__CHANGE_CLOSE: return .close(SequenceID(change.close))
        case WIRE__KV_CHANGE__CHANGE_DROP: return .drop(try run(the(change.drop)))
        case WIRE__KV_CHANGE__CHANGE_STORE:
            let store = try the(change.store)
            let pages = try runs(store.pages, count: store.n_pages)
            let keys = try keys(store.keys)
            guard pages.reduce(0, { $0 + $1.pages.count }) == keys.count else {
                throw Problem.invalid("message: \(keys.count) keys for other pages than those to be stored")
            }
            return .store(pages, first: try count(store.first), keys: keys)
        case WIRE__KV_CHANGE__CHANGE_RESTORE:
            let restore = try the(change.restore)
            return .restore(
                SequenceID(restore.sequence), first: try count(restore.first), keys: try keys(restore.keys))
        case WIRE__KV_CHANGE__CHANGE_CUT:
            let cut = try the(change.cut)
            return .cut(SequenceID(cut.sequence), pages: try count(cut.pages))
        default:
            throw Problem.invalid(
                "message: a change of the KV cache that this release does not know; run the same release on both sides")
        }
    }

    func use(_ use: Wire__KvUse) throws -> KVUse {
        func counts(_ values: UnsafeMutablePointer<UInt64>?, _ number: Int) throws -> [Int] {
            guard let values else { return [] }
            guard number <= Slots.count else { throw Problem.invalid("message: \(number) slots") }
            return try (0..<number).map { try count(values[$0]) }
        }
        return KVUse(
            pages: try count(use.pages), used: try count(use.used), idle: try count(use.idle),
            spilled: try count(use.spilled),
            pageBytes: try count(use.page_bytes), stored: use.has_store != 0 ? try count(use.stored) : nil,
            slotPages: try counts(use.slot_pages, use.n_slot_pages),
            slotReuses: try counts(use.slot_reuses, use.n_slot_reuses), trouble: try text(use.trouble))
    }
}
