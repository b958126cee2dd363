import Core

/// Which tokens can come next in a configuration of an automaton.
///
/// For each local state, walking the whole vocabulary once sorts its tokens three ways: those that fit whatever stands below on the stack, those that never
/// fit, and those that go on behind the end of the state's rule, which depend on the stack. The mask of a configuration is then put together from
/// its local states' and a look at the few that depend; so one string in a schema costs one walk, wherever strings stand. Where a state takes
/// characters of running text without looking at which, as the inside of strings does, only the other tokens are walked.
///
/// - Source: the idea of context-independent tokens is XGrammar's (Dong et al. 2024).
final class MaskMaker {
    /// What one local state says, whatever is below it.
    private struct LocalMask {
        /// Tokens that fit.
        var mask: TokenMask
        /// Places in the vocabulary's order of tokens that depend on what is below.
        var dependent: [Int32] = []
    }

    /// More masks than this are not kept; one takes an eighth of a byte a token.
    private static let cacheLimit = 512

    let automaton: Automaton
    let vocabulary: TokenTrie
    private var locals: [Int32: LocalMask] = [:]
    private var masks: [Int32: TokenMask] = [:]
    private var plainRoom: PlainRoom
    /// The configurations after each byte of the token that is looked at, from the start on.
    private var path: [Int32]

    init(_ automaton: Automaton, vocabulary: TokenTrie) {
        self.automaton = automaton
        self.vocabulary = vocabulary
        plainRoom = PlainRoom(automaton)
        path = [Int32](repeating: 0, count: vocabulary.deepest + 1)
    }

    /// The tokens that can come next.
    func mask(_ configuration: Int32) -> TokenMask {
        if let known = masks[configuration] { return known }
        var mask = TokenMask(count: vocabulary.count)
        var dependent: [Int32] = []
        for place in automaton.roots[Int(configuration)] {
            let local = localMask(place.local)
            mask.formUnion(local.mask)
            dependent = dependent.isEmpty ? local.dependent : merged(dependent, local.dependent)
        }
        check(dependent, in: configuration, &mask)
        for (first, other) in vocabulary.twins where mask.permits(first) { mask.permit(other) }
        if automaton.accepts[Int(configuration)] {
            for token in vocabulary.stopTokens { mask.permit(token) }
        }
        if masks.count >= Self.cacheLimit { masks.removeAll(keepingCapacity: true) }
        masks[configuration] = mask
        return mask
    }

    private func merged(_ a: [Int32], _ b: [Int32]) -> [Int32] {
        b.isEmpty ? a : Array(Set(a).union(b)).sorted()
    }

    /// Permits those of some tokens that fit a configuration. Tokens that begin alike follow each other, so each begins where the one before differs.
    private func check(_ places: [Int32], in configuration: Int32, _ mask: inout TokenMask) {
        path[0] = configuration
        var latest: ArraySlice<UInt8> = []
        var known = 0
        for place in places {
            let token = vocabulary.tokens[Int(place)]
            if mask.permits(token) { continue }
            let bytes = vocabulary.bytes(at: place)
            var depth = 0
            for (a, b) in zip(latest, bytes) {
                guard a == b, depth < known else { break }
                depth += 1
            }
            var at = path[depth]
            for byte in bytes.dropFirst(depth) {
                if at == Automaton.dead { break }
                at = automaton.step(at, byte)
                depth += 1
                path[depth] = at
            }
            if at != Automaton.dead { mask.permit(token) }
            latest = bytes
            known = depth
        }
    }

    /// Sorts the vocabulary for one local state.
    private func localMask(_ local: Int32) -> LocalMask {
        if let known = locals[local] { return known }
        let start = automaton.openConfiguration(local)
        let room = plainRoom.count(from: start, limit: vocabulary.plain.longest, in: automaton)
        // A state that takes no plain character at all is soon walked.
        let isText = room ?? 0 > 0
        let nodes = isText ? vocabulary.otherNodes : vocabulary.nodes
        let known = isText ? vocabulary.plain.words(atMost: room ?? 0) : TokenMask(count: vocabulary.count).words
        var walk = VocabularyWalk(start: start, words: known, deepest: vocabulary.deepest)
        while !walk.isOver(nodes) {
            // It stops where a step is not known yet; the tables may move when it is found out.
            walk.run(automaton, nodes, vocabulary.tokens)
            if let (configuration, byteClass) = walk.missing { automaton.find(configuration, byteClass) }
        }
        let words = walk.words
        let found = LocalMask(
            mask: TokenMask(count: vocabulary.count, words: words) ?? TokenMask(count: vocabulary.count),
            dependent: walk.dependent)
        if locals.count >= Self.cacheLimit { locals.removeAll(keepingCapacity: true) }
        locals[local] = found
        return found
    }
}
