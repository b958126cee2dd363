import CProtobufC

/// Memory for the C structs of one message under construction; all of it is freed with the arena.
///
/// protobuf-c wants pointers to sub-messages, strings and arrays. Placing them here keeps encoding flat where
/// `withUnsafe...` closures would nest a level a field.
struct Arena: ~Copyable {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit {
        for block in blocks { block.deallocate() }
    }

    /// A new message, set up by its generated `init` function.
    mutating func new<T>(_ initialize: (UnsafeMutablePointer<T>?) -> Void) -> UnsafeMutablePointer<T> {
        let block = UnsafeMutablePointer<T>.allocate(capacity: 1)
        initialize(block)
        blocks.append(UnsafeMutableRawPointer(block))
        return block
    }

    /// Places `values` one after the other; nil when there are none.
    mutating func place<T>(_ values: [T]) -> UnsafeMutablePointer<T>? {
        guard !values.isEmpty else { return nil }
        let block = UnsafeMutablePointer<T>.allocate(capacity: values.count)
        for (i, value) in values.enumerated() { (block + i).initialize(to: value) }
        blocks.append(UnsafeMutableRawPointer(block))
        return block
    }

    /// Places `text` as a C string; what follows a zero byte in it is lost.
    mutating func place(text: String) -> UnsafeMutablePointer<CChar>? {
        place(text.utf8.map { CChar(bitPattern: $0) } + [0])
    }

    /// Places bytes as protobuf `bytes`.
    mutating func place(raw bytes: [UInt8]) -> ProtobufCBinaryData {
        ProtobufCBinaryData(len: bytes.count, data: place(bytes))
    }

    /// Places the UTF-8 of `text` as protobuf `bytes`.
    mutating func place(bytes text: String) -> ProtobufCBinaryData {
        place(raw: Array(text.utf8))
    }
}
