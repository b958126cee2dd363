import Checkpoint
import Core
import GLM
import Kernels
import Testing

@Suite("Context")
struct ContextTests {
    /// The golden model with a context of 16 tokens; stretched to 64 by YaRN where asked.
    private func description(_ checkpoint: Checkpoint, yarn: Bool) throws -> ModelDescription {
        var description = try ModelDescription(checkpoint)
        description.configuration.contextLength = yarn ? 64 : 16
        if yarn {
            description.configuration.ropeScaling = RotaryScaling(kind: .yarn, factor: 4, originalContext: 16)
        }
        return description
    }

    private func grid(_ description: ModelDescription, _ checkpoint: Checkpoint, _ layout: String) throws -> Grid {
        try Grid(description, source: checkpoint, layout: Layout(layout))
    }

    @Test("a position beyond the model's context is an error that names both")
    func beyond() throws {
        let checkpoint = try Checkpoint.open(Golden("glm-hf-f32").model)
        let description = try description(checkpoint, yarn: false)
        let grid = try grid(description, checkpoint, "1x1")
        let tokens = [TokenID](repeating: 5, count: 17)
        _ = try grid.logits([Array(tokens.dropLast())], chunk: 7)
        let step = #expect(throws: Problem.self) { try grid.logits([tokens], chunk: 16) }
        #expect(step?.message.contains("positions 16..<17 do not fit a context of 16") == true)
        let prompt = #expect(throws: Problem.self) { try description.configuration.check(prompt: tokens) }
        #expect(
            prompt?.message == "the prompt has 17 tokens, the model's context holds 16; shorten the prompt")
    }

    @Test("YaRN reaches beyond the native context, with one answer in every chunking and layout")
    func stretched() throws {
        let checkpoint = try Checkpoint.open(Golden("glm-hf-f32").model)
        let tokens = (0..<64).map { TokenID(5 + $0 * 37 % 300) }
        let plain = try grid(try ModelDescription(checkpoint), checkpoint, "1x1").logits([tokens], chunk: 64)
        let description = try description(checkpoint, yarn: true)
        let whole = try grid(description, checkpoint, "1x1").logits([tokens], chunk: 64)
        #expect(whole.bits != plain.bits && whole.allSatisfy(\.isFinite))
        for (layout, chunk) in [("1x1", 1), ("1x1", 7), ("2x2", 9), ("1x3", 64)] {
            #expect(try grid(description, checkpoint, layout).logits([tokens], chunk: chunk).bits == whole.bits)
        }
        let grid = try grid(description, checkpoint, "1x1")
        #expect(throws: Problem.self) { try grid.logits([tokens + [5]], chunk: 65) }
    }
}
