import Core
import Testing

@testable import glm

@Suite("typing")
struct LineBufferTests {
    /// What stands in a buffer after some keys, the cursor as `|`.
    private func typed(_ keys: [Key], history: [String] = []) -> String {
        var buffer = LineBuffer(history: history)
        for key in keys { #expect(buffer.take(key) == .editing) }
        var characters = buffer.characters
        characters.insert("|", at: buffer.cursor)
        return String(characters)
    }

    @Test("text, the cursor and the keys that delete")
    func editing() {
        #expect(typed([.text("a"), .text("é"), .text("停"), .left, .text("b")]) == "aéb|停")
        #expect(typed([.text("one two"), .wordLeft, .backspace]) == "one|two")
        #expect(typed([.text("one two"), .home, .wordRight, .killToEnd]) == "one|")
        #expect(typed([.text("one two"), .killWord, .killWord, .killWord]) == "|")
        #expect(typed([.text("abc"), .home, .delete, .right, .killToStart, .end]) == "c|")
        #expect(typed([.left, .backspace, .delete, .right, .wordRight, .killToEnd, .text("x")]) == "x|")
    }

    @Test("several lines: another one by a key, by a backslash, by a paste; up and down move between them")
    func lines() {
        #expect(typed([.text("a"), .newline, .text("b")]) == "a\nb|")
        #expect(typed([.text("a\\"), .enter, .text("b")]) == "a\nb|")
        #expect(typed([.paste("one\ntwo"), .up, .text("!")]) == "one!|\ntwo")
        #expect(typed([.paste("one\nlonger"), .up, .down, .text("!")]) == "one\nlon!|ger")
        #expect(typed([.paste("ab\ncd"), .home, .killToEnd]) == "ab\n|")
        var buffer = LineBuffer()
        _ = buffer.take(.paste("a\nb"))
        #expect(buffer.take(.enter) == .done("a\nb"))
    }

    @Test("the history is walked through, and what was being typed comes back")
    func history() {
        let before = ["first", "second"]
        #expect(typed([.up], history: before) == "second|")
        #expect(typed([.up, .up, .up], history: before) == "first|")
        #expect(typed([.text("new"), .up, .up, .down, .down], history: before) == "new|")
        #expect(typed([.text("x"), .down], history: before) == "x|")
        #expect(typed([.up, .text("!")], history: before) == "second!|")
    }

    @Test("Ctrl-C drops a text and ends an empty line, Ctrl-D ends an empty line only")
    func ends() {
        var buffer = LineBuffer()
        _ = buffer.take(.text("a"))
        #expect(buffer.take(.endOfInput) == .editing)
        #expect(buffer.take(.interrupt) == .dropped)
        #expect(buffer.text.isEmpty)
        #expect(buffer.take(.interrupt) == .ended)
        #expect(buffer.take(.endOfInput) == .ended)
    }

    @Test("keys are read from the bytes of a terminal")
    func keys() {
        func keys(_ text: String) -> [Key] {
            var bytes = Array(text.utf8)[...]
            let reader = KeyReader(byte: { bytes.popFirst() }, hasMore: { !bytes.isEmpty })
            var keys: [Key] = []
            while let last = Optional(reader.next()), last != .endOfInput { keys.append(last) }
            return keys
        }
        #expect(keys("a停\u{7f}\r\n") == [.text("a"), .text("停"), .backspace, .enter, .newline])
        #expect(
            keys("\u{1b}[A\u{1b}[B\u{1b}OC\u{1b}[1;5D\u{1b}[3~\u{1b}[H\u{1b}[4~") == [
                .up, .down, .right, .wordLeft, .delete, .home, .end,
            ])
        #expect(
            keys("\u{1b}\r\u{1b}b\u{1b}f\u{1b}[99X\u{1}\u{17}") == [.newline, .wordLeft, .wordRight, .home, .killWord])
        #expect(keys("\u{1b}[200~a\r\nb\u{1b}[1mc\u{1b}[201~d") == [.paste("a\nb\u{1b}[1mc"), .text("d")])
        #expect(keys("x\u{1b}") == [.text("x")])
    }

    @Test(
        "characters take the columns that a terminal gives them",
        arguments: [
            ("a", 1), ("é", 1), ("e\u{301}", 1), ("停", 2), ("カ", 2), ("한", 2), ("🙂", 2), ("\u{200B}", 0),
        ])
    func columns(character: String, columns: Int) throws {
        #expect(try #require(character.first).columns == columns)
    }

    @Test("lines that begin with a slash are commands, two slashes are not, and unknown ones are refused")
    func commands() throws {
        #expect(try ChatCommand("/file  a b.txt ") == .file("a b.txt"))
        #expect(try ChatCommand("/save x.json") == .save("x.json"))
        #expect(try ChatCommand("/clear") == .clear)
        #expect(try ChatCommand("hello /file") == nil)
        #expect(try ChatCommand("//etc") == nil)
        for bad in ["/", "/file", "/frob x"] { #expect(throws: Problem.self) { try ChatCommand(bad) } }
    }
}
