import ArgumentParser
import Checkpoint
import Coordinator
import Core
import GLM

/// `glm logits`: the logits of every token of a prompt, to a file. The reference for every layout.
struct Logits: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits", abstract: "Write the logits of every token of a prompt to a safetensors file.")

    @OptionGroup var options: ModelOptions

    @Option(help: "Token ids, with commas between.")
    var tokens: String

    @Option(help: "Tokens in one step of the prompt.")
    var chunk = 512

    @Option(name: .customLong("batch-with"), help: "Another sequence's token ids that share the steps.")
    var batchWith: String?

    @Option(help: "The file to write: tensor `logits`, f32 [tokens, vocabulary].")
    var out: String

    @Flag(help: "Print what was written as one JSON object.")
    var json = false

    func run() async throws {
        guard (1...65_536).contains(chunk) else { throw Problem.invalid("--chunk \(chunk): use 1 to 65536") }
        var sequences = [try tokenList(tokens, flag: "--tokens")]
        if let batchWith { sequences.append(try tokenList(batchWith, flag: "--batch-with")) }
        let checkpoint = try Checkpoint.open(options.model)
        let configuration = try Configuration(checkpoint)
        for sequence in sequences { try configuration.check(prompt: sequence) }
        let layout = try Layout(options.layout)
        let attention = try options.attention()
        let logits: [Float]
        if layout == .single {
            let room = sequences.reduce(0) { $0 + $1.count + Slots.pageTokens }
            let generator = try Generator(
                checkpoint, type: try options.weightType(), kvType: try options.kvType(), kvTokens: room,
                threads: try options.threadCount(.single)
            )
            logits = try generator.logits(of: sequences, chunk: chunk, attention: attention)
        } else {
            let cluster = try await LocalCluster.start(
                layout: layout, model: options.model, type: try options.weightType(), kvType: try options.kvType(),
                threads: try options.threadCount(layout))
            do {
                logits = try await cluster.coordinator.logits(
                    sequences: sequences, chunk: chunk, attention: attention)[0]
            } catch {
                await cluster.stop()
                throw error
            }
            await cluster.stop()
        }
        let tensor = TensorInfo(
            name: "logits", type: .f32, shape: [sequences[0].count, configuration.vocabulary])
        let file = try TensorFileWriter(safetensors: out, tensors: [tensor])
        try logits.withUnsafeBytes { try file.write($0) }
        try file.finish()
        guard json else { return }
        let shape = tensor.shape.map { JSONValue.integer($0) }
        let answer = JSONValue.object([
            .init("out", .string(out)), .init("tensor", .string(tensor.name)), .init("shape", .array(shape)),
            .init("layout", .string("\(layout)")),
        ])
        Terminal.write(answer.text() + "\n")
    }
}
