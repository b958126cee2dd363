import ArgumentParser

/// `glm bench`: what this machine can do, what a model makes of it, and what `glm plan` needs to know of it.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a model's speed, this machine's limits, what the kernels make of them, or a disk.",
        subcommands: [ModelBench.self, HostBench.self, LimitsBench.self, KernelsBench.self, DiskBench.self],
        defaultSubcommand: ModelBench.self)
}
