import ArgumentParser

/// `glm eval`: measures what a served model gets right.
struct Eval: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Measure what a served model gets right.", subcommands: [EvalNeedle.self])
}
