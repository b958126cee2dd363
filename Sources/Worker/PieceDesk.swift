import Core
import Synchronization
import Threads
import Wire

/// Questions to the coordinator for parts of tensors, and its answers: the engine asks, the control thread delivers.
final class PieceDesk: Sendable {
    private struct State {
        var next: UInt64 = 0
        var waiting: [UInt64: Mailbox<Result<Piece, Problem>>] = [:]
    }

    private let state = Mutex(State())
    private let send: @Sendable (Message) -> Void

    init(send: @escaping @Sendable (Message) -> Void) { self.send = send }

    /// Sends a question; the answer comes to the mailbox.
    func ask(_ fetch: Fetch) -> Mailbox<Result<Piece, Problem>> {
        let answer = Mailbox<Result<Piece, Problem>>()
        let number = state.withLock { state in
            state.next += 1
            state.waiting[state.next] = answer
            return state.next
        }
        send(.fetch(request: number, fetch))
        return answer
    }

    /// An answer came; one that nobody waits for is dropped.
    func deliver(_ number: UInt64, _ result: Result<Piece, Problem>) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.put(result)
    }

    /// Answers every open question with `problem`.
    func giveUp(_ problem: Problem) {
        let open = state.withLock { state in
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for answer in open { answer.put(.failure(problem)) }
    }
}
