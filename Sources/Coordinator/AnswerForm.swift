import Core
import Grammar

/// An answer on its way through a grammar.
struct AnswerForm {
    private let constraint: Constraint
    private var place: Constraint.Place
    /// Tokens of the answer that it has followed.
    private var followed = 0

    /// The beginning of an answer.
    init(_ constraint: Constraint) {
        self.constraint = constraint
        place = constraint.start
    }

    /// Whether nothing can follow.
    var mustEnd: Bool { constraint.mustEnd(at: place) }

    /// Goes on to the end of an answer that begins with what was followed before.
    mutating func follow(_ tokens: [TokenID]) throws {
        for token in tokens[followed...] {
            guard let next = constraint.place(after: token, at: place) else {
                throw Problem.failed("the last stage drew a token that the answer's grammar does not permit")
            }
            place = next
            followed += 1
        }
    }

    /// What may be drawn next, then behind each of some guesses; those behind one that does not fit are never drawn, and have no mask.
    func masks(guesses: some Sequence<TokenID>) throws -> [TokenMask] {
        var masks = [try constraint.mask(at: place)]
        var at = place
        for guess in guesses {
            guard let next = constraint.place(after: guess, at: at), !constraint.mustEnd(at: next) else { break }
            at = next
            masks.append(try constraint.mask(at: at))
        }
        return masks
    }
}
