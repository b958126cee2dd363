import Core

/// Answers that are held to a grammar.
extension Coordinator {
    /// What holds a job's answer to its grammar.
    ///
    /// - Throws: what is wrong with the grammar.
    func form(_ options: GenerationOptions) throws -> AnswerForm? {
        guard let grammar = options.grammar else { return nil }
        guard options.embedding == nil else {
            throw Problem.invalid("an embedding has no text that could follow a grammar; leave it out")
        }
        return AnswerForm(try constraints.constraint(grammar))
    }

    /// A step with the masks of the answers that have a grammar, and which of these cannot go on, and why.
    func masked(_ step: Step) -> (step: Step, stuck: [(SequenceID, Problem)]) {
        var step = step
        var stuck: [(SequenceID, Problem)] = []
        for index in step.segments.indices {
            let segment = step.segments[index]
            guard case .sample(var drawing) = segment.output, let id = table.job(of: segment.sequence) else { continue }
            do {
                drawing.masks = try table.masks(of: id, guesses: segment.tokens.suffix(segment.guesses))
                guard !drawing.masks.isEmpty else { continue }
                drawing.maskedFrom = segment.start + segment.tokens.count - segment.guesses
                // What must not end the answer yet gives way where nothing else is possible.
                let held = Set(drawing.heldBack)
                let isStuck = drawing.masks.contains { mask in
                    mask.permitted <= held.count && mask.tokens.allSatisfy { held.contains($0) }
                }
                if isStuck { drawing.heldUntil = 0 }
                step.segments[index].output = .sample(drawing)
            } catch {
                stuck.append((segment.sequence, error as? Problem ?? .failed("\(error)")))
            }
        }
        return (step, stuck)
    }
}
