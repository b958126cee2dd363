import Core
import Grammar
import Tokenization

/// Grammars that are ready for use: jobs with the same grammar share what is found out about it.
struct ConstraintShelf {
    /// So many are kept; each has masks of an eighth of a byte a token, some hundreds at most.
    private static let remembered = 32
    /// One whose tables have grown past this is not handed out again: jobs that follow it keep it for as long as they run.
    private static let sizeLimit = 200_000

    private let tokenizer: Tokenizer?
    /// How many tokens the model has, those that stand for nothing included.
    private let vocabularySize: Int
    private let stopTokens: Set<TokenID>
    private var vocabulary: TokenTrie?
    private var known: [AnswerGrammar: Constraint] = [:]
    private var order: [AnswerGrammar] = []

    init(tokenizer: Tokenizer?, vocabularySize: Int, stopTokens: Set<TokenID>) {
        self.tokenizer = tokenizer
        self.vocabularySize = vocabularySize
        self.stopTokens = stopTokens
    }

    /// A grammar's constraint.
    ///
    /// - Throws: what is wrong with the grammar, or that this model has no tokenizer.
    mutating func constraint(_ grammar: AnswerGrammar) throws -> Constraint {
        if let found = known[grammar], found.size < Self.sizeLimit { return found }
        guard let tokenizer else {
            throw Problem.invalid("the model has no tokenizer, so its answers cannot be held to a grammar")
        }
        // Made when the first grammar comes: it takes a moment at 150,000 tokens, and most clusters never see one.
        let turn = tokenizer.specials["<|assistant|>"]
        let vocabulary =
            vocabulary
            ?? TokenTrie(count: vocabularySize, stopTokens: stopTokens) { token in
                if token == turn { return [AnswerGrammar.turnByte] }
                // Vocabularies have a token for every byte, those included that are in no text: they would pass for the turn.
                let bytes = tokenizer.textBytes(of: token)
                return bytes.contains(AnswerGrammar.turnByte) ? [] : bytes
            }
        self.vocabulary = vocabulary
        let made = try Constraint(grammar, vocabulary: vocabulary)
        order.removeAll { $0 == grammar }
        order.append(grammar)
        known[grammar] = made
        if order.count > Self.remembered { known[order.removeFirst()] = nil }
        return made
    }
}
