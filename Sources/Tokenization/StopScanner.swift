/// Watches a growing text for stop strings and holds back what could be the beginning of one.
///
/// The text ends before the stop string that is complete first (of several complete at once, the longest), so the
/// answer doesn't depend on how the text was cut into parts.
public struct StopScanner: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    private var isStopped = false

    /// Watches for `stops`; empty ones are ignored.
    public init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    }

    /// Takes more text and gives what is certain; after a stop nothing more is given.
    public mutating func next(_ text: String) -> (emit: String, stopped: Bool) {
        guard !isStopped else { return ("", true) }
        guard !stops.isEmpty else { return (text, false) }
        let seen = held.count
        held += text.utf8
        for end in seen..<held.count {
            let complete = stops.filter { held[...end].hasSuffix($0) }.map(\.count).max()
            if let complete {
                let emit = String(decoding: held[...end].dropLast(complete), as: UTF8.self)
                held = []
                isStopped = true
                return (emit, true)
            }
        }
        let keep =
            stops.map { stop in
                (1..<stop.count).last { held.hasSuffix(stop.prefix($0)) } ?? 0
            }.max() ?? 0
        let emit = String(decoding: held.dropLast(keep), as: UTF8.self)
        held.removeFirst(held.count - keep)
        return (emit, false)
    }

    /// What was held back, when the text ends without a stop string.
    public mutating func finish() -> String {
        let text = String(decoding: held, as: UTF8.self)
        held = []
        return text
    }
}

extension BidirectionalCollection<UInt8> {
    fileprivate func hasSuffix(_ end: some BidirectionalCollection<UInt8>) -> Bool {
        reversed().starts(with: end.reversed())
    }
}
