/// A request's place in a trace, as W3C's Trace Context has it.
struct TraceContext: Sendable {
    /// The whole trace: 32 hexadecimal digits, not all zero.
    let traceID: String
    /// The caller's span, 16 digits; nil where the trace begins here.
    let parentID: String?
    /// The request's own span, 16 digits.
    let spanID: String
    /// Whether spans are to be written.
    let isSampled: Bool

    /// What a `traceparent` header says; a new trace where there is none, or one that makes no sense.
    init(traceparent: String?) {
        spanID = Self.randomHex(words: 1)
        let parts = (traceparent ?? "").split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, Self.isHex(parts[0], 2), parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            Self.isHex(parts[1], 32), Self.isHex(parts[2], 16), Self.isHex(parts[3], 2),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" }),
            let flags = UInt8(parts[3], radix: 16)
        else {
            traceID = Self.randomHex(words: 2)
            parentID = nil
            isSampled = true
            return
        }
        traceID = parts[1]
        parentID = parts[2]
        isSampled = flags & 1 == 1
    }

    /// So many random words of 64 bits in hexadecimal; never all zero.
    static func randomHex(words: Int) -> String {
        (0..<words).map { _ in
            let digits = String(UInt64.random(in: 1...UInt64.max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private static func isHex(_ text: String, _ count: Int) -> Bool {
        text.utf8.count == count
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }
}
