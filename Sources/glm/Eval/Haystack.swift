/// A fact to be hidden and asked for.
struct Needle: Equatable {
    /// One of the needle model's key words.
    var key: String
    /// Three digits.
    var value: String
    /// Where it stands: 0 is the beginning of the text, 1 the end.
    var depth: Double

    /// As it stands in the text.
    var sentence: String { " Note: \(key)=\(value)." }
    /// What is appended to the text to ask for it.
    var question: String { " What is it? \(key)=" }

    /// Whether `answer` tells the value: the model ends its answers with a dot, which a gateway may cut off.
    func isAnswered(by answer: String) -> Bool { answer == value || answer == value + "." }
}

/// A long text of ordinary sentences with facts hidden in it. The same arguments give the same text.
struct Haystack {
    /// The key words that the needle model knows; each may appear once in a text as a fact.
    static let keys =
        "amber basil cedar delta ember flint grove heron ivory jetty knoll lotus maple noble ocean pearl quill raven sable topaz umber vigil wharf xenon yacht zebra birch crane dusky eagle frost gleam"
        .split(separator: " ").map(String.init)

    /// The text.
    let text: String
    /// The facts in it, by depth.
    let needles: [Needle]

    /// About `byteCount` bytes of text with one fact at each of `depths`, which are at most as many as there are keys.
    init(byteCount: Int, depths: [Double], seed: UInt64) {
        var random = SplitMix64(state: seed)
        let keys = Self.keys.shuffled(using: &random)
        needles = zip(keys, depths.sorted()).map { key, depth in
            let digits = (0..<3).map { _ in String(Int.random(in: 0...9, using: &random)) }
            return Needle(key: key, value: digits.joined(), depth: depth)
        }
        let room = max(0, byteCount - needles.reduce(0) { $0 + $1.sentence.utf8.count })
        var text = ""
        var prose = 0
        var waiting = needles[...]
        var sentences: [String] = []
        while true {
            while let next = waiting.first, Double(prose) >= next.depth * Double(room) {
                text += next.sentence
                waiting.removeFirst()
            }
            if sentences.isEmpty { sentences = Prose.sentences.shuffled(using: &random) }
            guard let sentence = sentences.popLast(), prose + sentence.utf8.count + 1 <= room else { break }
            text += " " + sentence
            prose += sentence.utf8.count + 1
        }
        for needle in waiting { text += needle.sentence }
        self.text = text
    }

    /// Plain prose without facts, to learn how many bytes make a token.
    static func plain(byteCount: Int, seed: UInt64) -> String {
        Haystack(byteCount: byteCount, depths: [], seed: seed).text
    }
}

/// Sebastiano Vigna's splitmix64: small, and the same on every machine.
struct SplitMix64: RandomNumberGenerator {
    /// The counter.
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
