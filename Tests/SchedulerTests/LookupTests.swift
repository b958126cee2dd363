import Core
import Testing

@Suite("Prompt lookup")
struct LookupTests {
    /// Steps that it takes to write `text` behind `prompt`, guesses and right ones.
    private func write(_ text: [TokenID], behind prompt: [TokenID]) -> (steps: Int, guesses: Int, right: Int) {
        var lookup = PromptLookup(prompt)
        var (steps, guesses, right) = (0, 0, 0)
        var at = 0
        while at < text.count {
            let guessed = lookup.guess(limit: text.count - at - 1)
            #expect(guessed.count <= max(0, min(PromptLookup.most, text.count - at - 1)))
            var count = 0
            while count < guessed.count, guessed[count] == text[at + count] { count += 1 }
            steps += 1
            guesses += guessed.count
            right += count
            lookup.append(text[at...at + count])
            lookup.judge(guessed: guessed.count, right: count)
            at += count + 1
        }
        return (steps, guesses, right)
    }

    /// Tokens no three of which stand twice in the same order.
    private func plain(_ count: Int, from first: Int = 0) -> [TokenID] {
        (first..<first + count).map { TokenID($0) }
    }

    @Test("a text that stood there before is written in a fraction of the steps")
    func repeats() {
        let text = plain(300)
        let found = write(text, behind: text + [-1])
        #expect(found.steps < 35 && found.right > 265, "\(found)")
        let loop = write([TokenID](repeating: 7, count: 200), behind: [1, 2, 7, 7, 7, 7])
        #expect(loop.steps < 30, "a loop shorter than the guess goes on with itself")
    }

    @Test("a text without repetitions is never guessed")
    func nothing() {
        #expect(write(plain(500, from: 1000), behind: plain(100)) == (500, 0, 0))
        #expect(write([1, 2], behind: []) == (2, 0, 0))
    }

    @Test("where guesses are always wrong, few are made")
    func wrong() {
        // Each run of three was there before, and something else follows now.
        var prompt: [TokenID] = []
        var text: [TokenID] = []
        for number in 0..<200 {
            let run: [TokenID] = [TokenID(3 * number), TokenID(3 * number + 1), TokenID(3 * number + 2)]
            prompt += run + [TokenID(10_000 + number)]
            text += run + [TokenID(20_000 + number)]
        }
        let found = write(text, behind: prompt)
        #expect(found.right == 0 && found.guesses < found.steps / 30, "\(found)")
    }

    @Test("the place that agrees for longest is believed, whatever stands nearer")
    func longest() {
        var lookup = PromptLookup([9, 1, 2, 3, 50, 8, 1, 2, 3, 60, 9, 1, 2, 3])
        #expect(lookup.guess(limit: 1) == [50])
        var latest = PromptLookup([1, 2, 3, 50, 1, 2, 3, 60, 1, 2, 3])
        #expect(latest.guess(limit: 1) == [60])
        #expect(latest.guess(limit: 0) == [])
    }

    @Test("long prompts are listed as they grow")
    func grows() {
        let text = (0..<40_000).map { TokenID(truncatingIfNeeded: UInt64($0) &* 0x9e37_79b9 >> 7 & 0xffff) }
        var lookup = PromptLookup(Array(text.prefix(100)))
        lookup.append(text[100...])
        lookup.append(text[5000..<5004])
        #expect(lookup.count == 40_004 && lookup.guess(limit: 2) == Array(text[5004..<5006]))
    }
}
