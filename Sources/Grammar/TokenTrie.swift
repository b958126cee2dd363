public import Core

/// The tokens of a vocabulary by their bytes: a tree in which tokens that begin alike share a path, laid out in the order of a walk.
///
/// Immutable once made, so that threads share it. Twelve bytes a node; 151,552 tokens make some 400,000 nodes.
public struct TokenTrie: Sendable {
    /// How many tokens the vocabulary has, those without bytes included.
    public let count: Int
    /// Tokens that end an answer.
    public let stopTokens: Set<TokenID>

    /// A byte of the tokens that begin alike up to it.
    struct Node: Sendable {
        /// The node behind the last one below.
        var end: Int32 = 0
        /// The place in `tokens` of the token that ends here, or -1.
        var place: Int32 = -1
        /// How many bytes it is from the beginning, itself included.
        var depth: UInt16
        var byte: UInt8
    }

    /// Longer tokens are never drawn.
    private static let longestToken = 1 << 12

    /// The nodes in the order of a walk that goes down first.
    let nodes: [Node]
    let deepest: Int
    /// Tokens that are running text, and a tree of the others.
    let plain: PlainTokens
    let otherNodes: [Node]

    /// Tokens in the order of their bytes; of those with equal bytes only the first.
    let tokens: [TokenID]
    /// Those with equal bytes: the one in `tokens` and the other.
    let twins: [(first: TokenID, other: TokenID)]
    private let bytes: [UInt8]
    /// By place in `tokens`, where its bytes are.
    private let starts: [Int32]
    /// By token, its place in `tokens`, or -1.
    private let places: [Int32]

    /// A vocabulary of `count` tokens; `bytesOf` gives none for those that add nothing to a text.
    public init(count: Int, stopTokens: Set<TokenID>, bytesOf: (TokenID) -> ArraySlice<UInt8>) {
        self.count = count
        self.stopTokens = stopTokens
        var flat: [UInt8] = []
        var spans: [(token: TokenID, start: Int, end: Int)] = []
        for token in 0..<TokenID(clamping: count) where !stopTokens.contains(token) {
            // No model has tokens of this length; one that had could not draw them here.
            let own = bytesOf(token)
            guard !own.isEmpty, own.count <= Self.longestToken else { continue }
            spans.append((token, flat.count, flat.count + own.count))
            flat += own
        }
        flat.withUnsafeBufferPointer { flat in
            spans.sort { a, b in
                var (i, j) = (a.start, b.start)
                while i < a.end, j < b.end {
                    if flat[i] != flat[j] { return flat[i] < flat[j] }
                    i += 1
                    j += 1
                }
                return (a.end - a.start, a.token) < (b.end - b.start, b.token)
            }
        }
        var layout = Layout(count: count)
        for span in spans { layout.add(span.token, flat[span.start..<span.end]) }
        layout.tree.close(to: 0)
        var found: [(token: TokenID, characters: Int)] = []
        var others = Tree()
        for (place, token) in layout.tokens.enumerated() {
            let own = layout.bytes[Int(layout.starts[place])..<Int(layout.starts[place + 1])]
            if let characters = PlainTokens.characters(own) {
                found.append((token, characters))
            } else {
                others.add(own, place: Int32(place))
            }
        }
        others.close(to: 0)
        plain = PlainTokens(found, count: count)
        otherNodes = others.nodes
        nodes = layout.tree.nodes
        deepest = layout.tree.nodes.reduce(0) { max($0, Int($1.depth)) }
        tokens = layout.tokens
        twins = layout.twins
        bytes = layout.bytes
        starts = layout.starts
        places = layout.places
    }

    /// The bytes of the token at a place of `tokens`.
    func bytes(at place: Int32) -> ArraySlice<UInt8> { bytes[Int(starts[Int(place)])..<Int(starts[Int(place) + 1])] }

    /// The bytes of a token; nil for one that adds nothing to a text.
    func bytes(of token: TokenID) -> ArraySlice<UInt8>? {
        guard token >= 0, Int(token) < count, places[Int(token)] >= 0 else { return nil }
        return bytes(at: places[Int(token)])
    }
}

/// A tree being laid out, from tokens in the order of their bytes.
private struct Tree {
    var nodes: [TokenTrie.Node] = []
    private var path: [Int] = []
    private var latest: ArraySlice<UInt8> = []

    /// How many bytes of a token the one before begins with.
    func shared(with own: ArraySlice<UInt8>) -> Int {
        var shared = 0
        for (a, b) in zip(latest, own) {
            guard a == b else { break }
            shared += 1
        }
        return shared
    }

    /// Adds a token that is not the same as the one before.
    mutating func add(_ own: ArraySlice<UInt8>, place: Int32) {
        let shared = shared(with: own)
        close(to: shared)
        for byte in own.dropFirst(shared) {
            path.append(nodes.count)
            nodes.append(TokenTrie.Node(depth: UInt16(clamping: path.count), byte: byte))
        }
        nodes[nodes.count - 1].place = place
        latest = own
    }

    mutating func close(to depth: Int) {
        while path.count > depth { nodes[path.removeLast()].end = Int32(nodes.count) }
    }
}

/// A vocabulary being laid out, from tokens in the order of their bytes.
private struct Layout {
    var tree = Tree()
    var tokens: [TokenID] = []
    var twins: [(first: TokenID, other: TokenID)] = []
    var places: [Int32]
    var bytes: [UInt8] = []
    var starts: [Int32] = [0]

    init(count: Int) { places = [Int32](repeating: -1, count: count) }

    mutating func add(_ token: TokenID, _ own: ArraySlice<UInt8>) {
        if let first = tokens.last, bytes[Int(starts[tokens.count - 1])...].elementsEqual(own) {
            twins.append((first, token))
            places[Int(token)] = Int32(tokens.count - 1)
            return
        }
        tree.add(own, place: Int32(tokens.count))
        places[Int(token)] = Int32(tokens.count)
        tokens.append(token)
        bytes += own
        starts.append(Int32(bytes.count))
    }
}
