import Core
import Tokenization

/// Puts an answer together from the events of its jobs, and says what each added.
struct AnswerBuilder: Sendable {
    /// What the builder must know of a request.
    struct Plan: Sendable {
        var model: ServedModel
        /// How the model's text is read.
        var reader: any AnswerReader
        /// At most so many functions are called; what comes after is dropped.
        var callLimit = Int.max
        /// The strings that may end an answer.
        var stops: [String] = []
    }

    private(set) var answer: Answer
    private let plan: Plan
    private let keepsTokens: Bool
    private var states: [State]

    /// One choice's reading.
    private struct State: Sendable {
        var reader: any AnswerReader
        var calls = 0
        /// The bytes that a stop string may have ended in, those of the last token apart.
        var recent: [UInt8] = []
        var last: [UInt8] = []
        /// Tokens of which it is not known yet whether they are text.
        var unread: [AnswerToken] = []
    }

    init(choices: Int, copies: Int, plan: Plan, keepsTokens: Bool) {
        answer = Answer(choices: Array(repeating: Choice(), count: choices), copies: copies)
        states = Array(repeating: State(reader: plan.reader), count: choices)
        self.plan = plan
        self.keepsTokens = keepsTokens
    }

    /// Whether all choices have ended.
    var isComplete: Bool { answer.choices.allSatisfy { $0.finish != nil } }

    /// Takes an event of one choice's job; throws when the job failed or was cancelled.
    mutating func take(_ event: JobEvent, of index: Int) throws -> Delta? {
        switch event {
        case .prefilled: return nil
        case .scored(let first, let tokens):
            if keepsTokens { answer.choices[index].scored += tokens }
            return Delta(choice: index, parts: [], scored: (first, tokens))
        case .embedded(let values):
            answer.choices[index].embedding = values
            return nil
        case .token(let drawn, let text, let top):
            let token = AnswerToken(drawn: drawn, top: top, text: text)
            if keepsTokens { answer.choices[index].tokens.append(token) }
            remember(drawn.token, of: index)
            var said = states[index].reader.next(text)
            if drawn.token == plan.model.turnToken { said += states[index].reader.turn() }
            states[index].unread.append(token)
            let (parts, spoken) = addSpoken(said, to: index)
            return Delta(choice: index, parts: parts, token: token, spoken: spoken)
        case .finished(let finish, let text, let usage, let timings):
            guard finish != .cancelled else { throw Problem(.cancelled, "the job was cancelled") }
            let said = states[index].reader.next(text) + states[index].reader.finish()
            let (parts, spoken) = addSpoken(said, to: index, isLast: true)
            answer.choices[index].finish = finish
            answer.choices[index].usage = usage
            answer.choices[index].timings = timings
            if finish == .stop { answer.choices[index].stop = stop(of: index) }
            return Delta(choice: index, parts: parts, spoken: spoken, end: answer.choices[index])
        case .failed(let problem): throw problem
        }
    }

    /// Adds what was said, and tells which tokens said the text that it begins with; at the end the rest belongs to the last text.
    private mutating func addSpoken(
        _ said: [AnswerPart], to index: Int, isLast: Bool = false
    ) -> (parts: [Delta.Part], spoken: [AnswerToken]) {
        let items = answer.choices[index].items
        let endsWithText = items.last.map { $0.call == nil } == true
        let place = endsWithText ? items.count - 1 : items.count
        let parts = add(said, to: index)
        var isText = parts.isEmpty && isLast && endsWithText
        if case .text = parts.first { isText = true }
        guard isText || !parts.isEmpty else { return (parts, []) }
        let spoken = isText ? states[index].unread : []
        states[index].unread = []
        if keepsTokens, isText { answer.choices[index].items[place].tokens += spoken }
        return (parts, spoken)
    }

    private mutating func add(_ said: [AnswerPart], to index: Int) -> [Delta.Part] {
        var parts: [Delta.Part] = []
        for part in said {
            if case .call = part { states[index].calls += 1 }
            guard states[index].calls <= plan.callLimit else { break }
            switch part {
            case .text(let text):
                if answer.choices[index].items.last.map({ $0.call == nil }) != true {
                    answer.choices[index].items.append(AnswerItem(call: nil))
                }
                extend(index, with: text)
                parts.append(.text(text))
            case .call(let name):
                let call = FunctionCall(name: name)
                answer.choices[index].items.append(AnswerItem(call: call))
                parts.append(.call(call))
            case .arguments(let text):
                extend(index, with: text)
                parts.append(.arguments(text))
            }
        }
        return parts
    }

    /// Adds to the last item where it is: a long text is not copied for every token.
    private mutating func extend(_ index: Int, with text: String) {
        let last = answer.choices[index].items.count - 1
        answer.choices[index].items[last].text += text
    }

    private mutating func remember(_ token: TokenID, of index: Int) {
        guard let longest = plan.stops.map(\.utf8.count).max() else { return }
        states[index].recent = (states[index].recent + states[index].last).suffix(longest)
        states[index].last = plan.model.isSpecial(token) ? [] : plan.model.bytes(of: token)
    }

    /// The stop string that the last token completed: the one that ends first, of several the longest.
    private func stop(of index: Int) -> String? {
        let state = states[index]
        var text = state.recent
        for byte in state.last {
            text.append(byte)
            let ended = plan.stops.filter { text.suffix($0.utf8.count).elementsEqual($0.utf8) }
            if let longest = ended.max(by: { $0.utf8.count < $1.utf8.count }) { return longest }
        }
        return nil
    }
}
