/// What a worker has sent to other workers, by what for, and for how many tokens. It only grows.
///
/// How much each is for a token is in docs/wire.md.
public struct Traffic: Hashable, Sendable {
    /// Messages, and their bytes with headers.
    public struct Sent: Hashable, Sendable {
        /// Messages.
        public var messages: UInt64
        /// Bytes of headers and tensors.
        public var bytes: UInt64

        /// So many.
        public init(messages: UInt64 = 0, bytes: UInt64 = 0) {
            self.messages = messages
            self.bytes = bytes
        }

        /// Both added.
        public static func + (a: Sent, b: Sent) -> Sent {
            Sent(messages: a.messages &+ b.messages, bytes: a.bytes &+ b.bytes)
        }
    }

    /// Hidden states, for the next stage.
    public var hidden = Sent()
    /// Sums of row-parallel products, for the stage's other ranks.
    public var sums = Sent()
    /// Queries and partial attention, for ranks that share a KV head.
    public var attention = Sent()
    /// Candidates for the next token, for the last stage's other ranks; and logits, for those who ask for them.
    public var draws = Sent()
    /// Tokens of the steps that it computed, those of prompts too.
    public var tokens: UInt64 = 0

    /// Nothing yet.
    public init() {}

    /// All that was sent.
    public var total: Sent { hidden + sums + attention + draws }

    /// Every kind with its name, as programs read it.
    public var byName: [(name: String, sent: Sent)] {
        [("hidden", hidden), ("sums", sums), ("attention", attention), ("draws", draws)]
    }
}
