import ArgumentParser

/// `glm bench`: what this machine can do, and what a model makes of it.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure a model's speed, or this machine's limits.",
        subcommands: [ModelBench.self, LimitsBench.self, DiskBench.self], defaultSubcommand: ModelBench.self)
}
