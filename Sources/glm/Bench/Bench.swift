import ArgumentParser

/// `glm bench`: what this machine can do, what a model makes of it, and what `glm plan` needs to know of it.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract:
            "Measure a model's speed, this machine's limits, what the kernels make of them, a disk, or a cluster's links.",
        subcommands: [
            ModelBench.self, HostBench.self, LimitsBench.self, KernelsBench.self, DiskBench.self, LinksBench.self,
        ],
        defaultSubcommand: ModelBench.self)
}
