import CSodium
import Core

/// BLAKE2b-256 over bytes that come piece by piece.
struct Blake2b: ~Copyable {
    /// libsodium wants its state on a 64-byte boundary.
    private let state: OpaquePointer
    private let memory: UnsafeMutableRawPointer

    /// The hash of nothing yet.
    init() throws {
        memory = UnsafeMutableRawPointer.allocate(byteCount: crypto_generichash_statebytes(), alignment: 64)
        state = OpaquePointer(memory)
        guard sodium_init() >= 0, crypto_generichash_init(state, nil, 0, 32) == 0 else {
            memory.deallocate()
            throw Problem.failed("libsodium cannot hash; is it installed whole?")
        }
    }

    deinit { memory.deallocate() }

    /// Takes in `bytes`.
    func update(_ bytes: UnsafeRawBufferPointer) {
        crypto_generichash_update(state, bytes.bindMemory(to: UInt8.self).baseAddress, UInt64(bytes.count))
    }

    /// Takes in `bytes`.
    func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The hash; nothing can be added after it.
    consuming func hexadecimal() -> String {
        var hash = [UInt8](repeating: 0, count: 32)
        crypto_generichash_final(state, &hash, hash.count)
        let digits = Array("0123456789abcdef")
        return String(hash.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
