import Core
import Testing

@testable import Tokenization

@Suite struct StreamTests {
    @Test("streamed text adds up to the text of all tokens at once, whatever the bytes")
    func addsUp() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        let pool: [UInt8] = [
            0x41, 0xC3, 0xA9, 0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xE0, 0xF4, 0x90, 0xC0, 0xFF,
        ]
        for _ in 0..<300 {
            let tokens = (0..<12).compactMap { _ -> TokenID? in
                if Int.random(in: 0..<8) == 0 { return [1763, -1, 99_999].randomElement() }
                return pool.randomElement().flatMap { tokenizer.vocabulary.token([$0]) }
            }
            var detokenizer = Detokenizer(tokenizer)
            let parts = tokens.map { detokenizer.next($0) } + [detokenizer.finish()]
            #expect(parts.joined().utf8.elementsEqual(tokenizer.decode(tokens).utf8))
        }
    }

    @Test("special tokens and unknown ids give no text, and bytes for log-probabilities")
    func silent() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        #expect(tokenizer.decode([1763, 0, 1756, -5, 5000, Int32.max, Int32.min, 1]) == "!\"")
        #expect(tokenizer.bytes(of: 1763) == Array("<|user|>".utf8))
        #expect(tokenizer.bytes(of: 5000).isEmpty)
        #expect(tokenizer.stopTokens == [1756, 1763, 1765])
        #expect(tokenizer.vocabularySize == 1770)
    }

    @Test("a stop string is found however the text is cut, and what precedes it is all given")
    func stops() {
        let text = "one two STOP three"
        for width in 1...6 {
            var scanner = StopScanner(["STOP", "thr", ""])
            var given = ""
            var stopped = false
            var rest = text[...]
            while !rest.isEmpty, !stopped {
                let part = scanner.next(String(rest.prefix(width)))
                rest = rest.dropFirst(width)
                given += part.emit
                stopped = part.stopped
            }
            #expect(given == "one two " && stopped)
            #expect(scanner.next("more") == ("", true))
        }
    }

    @Test("text that only begins like a stop string is held back, then given")
    func heldBack() {
        var scanner = StopScanner(["</end>", "中文"])
        #expect(scanner.next("a</e") == ("a", false))
        #expect(scanner.next("x") == ("</ex", false))
        #expect(scanner.next("b中") == ("b", false))
        #expect(scanner.finish() == "中")
        var free = StopScanner([])
        #expect(free.next("anything") == ("anything", false))
        #expect(free.finish() == "")
    }

    @Test("of stop strings that overlap the one that is complete first ends the text")
    func overlapping() {
        for parts in [["xabc"], ["x", "a", "b", "c"]] {
            var scanner = StopScanner(["abc", "b"])
            var given = ""
            for part in parts { given += scanner.next(part).emit }
            #expect(given == "xa")
        }
    }
}
