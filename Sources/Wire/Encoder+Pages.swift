import CWire
import Core

/// What is said about KV pages.
extension Encoder {
    /// Keys of 16 bytes each, the high half first, little-endian.
    func bytes(of keys: [PageKey]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(keys.count * 16)
        for key in keys {
            withUnsafeBytes(of: key.high.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: key.low.littleEndian) { bytes += $0 }
        }
        return bytes
    }

    mutating func ready(_ ready: Ready) -> UnsafeMutablePointer<Wire__Ready> {
        let made = arena.new(wire__ready__init)
        made.pointee.epoch = ready.epoch
        made.pointee.weight_bytes = UInt64(clamping: ready.weightBytes)
        made.pointee.kv_pages = UInt64(clamping: ready.kvPages)
        made.pointee.kv_page_bytes = UInt64(clamping: ready.kvPageBytes)
        made.pointee.has_store = ready.stored == nil ? 0 : 1
        if let keys = ready.stored { made.pointee.stored = blob(bytes(of: keys)) }
        return made
    }

    private mutating func run(_ run: PageRun) -> UnsafeMutablePointer<Wire__PageRun>? {
        let made = arena.new(wire__page_run__init)
        made.pointee.creator = run.creator.number
        made.pointee.places = range(run.pages)
        return made
    }

    mutating func change(_ change: KVChange) -> UnsafeMutablePointer<Wire__KvChange>? {
        let made = arena.new(wire__kv_change__init)
        switch change {
        case .open(let sequence, let prefix, let copy):
            let open = arena.new(wire__kv_open__init)
            open.pointee.sequence = sequence.number
            open.pointee.n_prefix = prefix.count
            open.pointee.prefix = arena.place(prefix.map { run($0) })
            open.pointee.copy_creator = copy?.creator.number ?? 0
            open.pointee.copy_place = UInt64(clamping: copy?.page ?? 0)
            open.pointee.copy_tokens = UInt32(clamping: copy?.tokens ?? 0)
            made.pointee.change_case = WIRE__KV_CHANGE__CHANGE_OPEN
            made.pointee.open = open
        case .close(let sequence):
            made.pointee.change_case = WIRE__KV_CHANGE__CHANGE_CLOSE
            made.pointee.close = sequence.number
        case .drop(let pages):
            made.pointee.change_case = WIRE__KV_CHANGE__CHANGE_DROP
            made.pointee.drop = run(pages)
        case .store(let runs, let first, let keys):
            let store = arena.new(wire__kv_store__init)
            store.pointee.n_pages = runs.count
            store.pointee.pages = arena.place(runs.map { run($0) })
            store.pointee.first = UInt64(clamping: first)
            store.pointee.keys = arena.place(raw: bytes(of: keys))
            made.pointee.change_case = WIRE__KV_CHANGE__CHANGE_STORE
            made.pointee.store = store
        case .restore(let sequence, let first, let keys):
            let restore = arena.new(wire__kv_restore__init)
            restore.pointee.sequence = sequence.number
            restore.pointee.first = UInt64(clamping: first)
            restore.pointee.keys = arena.place(raw: bytes(of: keys))
            made.pointee.change_case = WIRE__KV_CHANGE__CHANGE_RESTORE
            made.pointee.restore = restore
        case .cut(let sequence, let pages):
            let cut = arena.new(wire__kv_cut__init)
            cut.pointee.sequence = sequence.number
            cut.pointee.pages = UInt64(clamping: pages)
            made.pointee.change_case = WIRE__KV_CHANGE__CHANGE_CUT
            made.pointee.cut = cut
        }
        return made
    }

    mutating func use(_ use: KVUse) -> UnsafeMutablePointer<Wire__KvUse> {
        let made = arena.new(wire__kv_use__init)
        made.pointee.pages = UInt64(clamping: use.pages)
        made.pointee.used = UInt64(clamping: use.used)
        made.pointee.idle = UInt64(clamping: use.idle)
        made.pointee.spilled = UInt64(clamping: use.spilled)
        made.pointee.page_bytes = UInt64(clamping: use.pageBytes)
        made.pointee.has_store = use.stored == nil ? 0 : 1
        made.pointee.stored = UInt64(clamping: use.stored ?? 0)
        made.pointee.n_slot_pages = use.slotPages.count
        made.pointee.slot_pages = arena.place(use.slotPages.map { UInt64(clamping: $0) })
        made.pointee.n_slot_reuses = use.slotReuses.count
        made.pointee.slot_reuses = arena.place(use.slotReuses.map { UInt64(clamping: $0) })
        made.pointee.trouble = arena.place(text: use.trouble)
        return made
    }
}
