import CXXHash

/// A number that tells damaged bytes from whole ones; it does not protect from somebody who wants to deceive.
public enum Checksum {
    /// XXH3, 64 bits.
    public static func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }
}
