import ArgumentParser
import Core
import Glibc
import Kernels
import Threads

/// The command `glm`: one subcommand a file, no logic of its own.
@main
struct GLMCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "glm", abstract: "GLM-4 on a cluster of ordinary CPU hosts.",
        subcommands: [
            Up.self, CoordinatorCommand.self, WorkerCommand.self, GatewayCommand.self, Submit.self, Chat.self,
            Jobs.self, Status.self, Top.self, Scale.self, Drain.self, Generate.self, Logits.self, Tokenize.self,
            Model.self,
            Eval.self, Bench.self, PlanCommand.self, Keys.self,
        ])

    /// Runs the command; exit status 0 done, 1 failed, 2 bad usage; an error is one line that begins with `error:`.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        guard Topology.runsArithmetic else {
            complain("this processor lacks AVX2, FMA or F16C; run glm on an x86-64 host of 2015 or later")
            Glibc.exit(1)
        }
        do {
            _ = try InstructionSet.requested()
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let problem as Problem {
            complain(problem.message)
            Glibc.exit(1)
        } catch {
            let code = exitCode(for: error)
            if code == .success {
                print(fullMessage(for: error))
                Glibc.exit(0)
            }
            if error is ExitCode { Glibc.exit(code.rawValue) }
            let isUsage = code == .validationFailure
            complain(isUsage ? "\(message(for: error)); see glm --help" : "\(error)")
            Glibc.exit(isUsage ? 2 : 1)
        }
    }

    private static func complain(_ message: String) {
        let line = message.split(separator: "\n").joined(separator: " ")
        Terminal.note("error: \(line)")
    }
}
