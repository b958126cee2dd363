import ArgumentParser

/// `glm bench`: what this machine can do, and what a model makes of it.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a model's speed, this machine's limits, what the kernels make of them, or a disk.",
        subcommands: [ModelBench.self, LimitsBench.self, KernelsBench.self, DiskBench.self],
        defaultSubcommand: ModelBench.self)
}
