import ArgumentParser

/// `glm bench`: what this machine can do, what a model makes of it, and what `glm plan` needs to know of it.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure a model's speed, or this machine's limits.",
        subcommands: [ModelBench.self, HostBench.self, LimitsBench.self], defaultSubcommand: ModelBench.self)
}
