import Glibc

/// A key, or what a terminal makes of several.
enum Key: Equatable {
    case text(String)
    /// Text that was pasted, its line breaks included.
    case paste(String)
    case enter, newline, tab, backspace, delete
    case left, right, wordLeft, wordRight, home, end, up, down
    case killToEnd, killToStart, killWord, clearScreen
    case interrupt, endOfInput
}

/// Makes keys of the bytes that a terminal in raw mode sends.
struct KeyReader {
    /// The next byte, or nil at the end of the input.
    private let byte: () -> UInt8?
    /// Whether another byte is there already: what tells the Escape key from the beginning of a sequence.
    private let hasMore: () -> Bool

    /// A reader of standard input.
    init() {
        self.init(
            byte: {
                var byte: UInt8 = 0
                while true {
                    let count = read(STDIN_FILENO, &byte, 1)
                    if count == 1 { return byte }
                    guard count < 0, errno == EINTR else { return nil }
                }
            },
            hasMore: {
                var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                return poll(&input, 1, 25) == 1
            })
    }

    init(byte: @escaping () -> UInt8?, hasMore: @escaping () -> Bool) {
        self.byte = byte
        self.hasMore = hasMore
    }

    /// The next key; what means nothing is passed over.
    func next() -> Key {
        while true {
            guard let first = byte() else { return .endOfInput }
            if let key = key(first) { return key }
        }
    }

    private func key(_ first: UInt8) -> Key? {
        switch first {
        case 1: return .home
        case 2: return .left
        case 3: return .interrupt
        case 4: return .endOfInput
        case 5: return .end
        case 6: return .right
        case 8, 127: return .backspace
        case 9: return .tab
        case 10: return .newline
        case 11: return .killToEnd
        case 12: return .clearScreen
        case 13: return .enter
        case 14: return .down
        case 16: return .up
        case 21: return .killToStart
        case 23: return .killWord
        case 27: return hasMore() ? escape() : nil
        case 0..<32: return nil
        default: return .text(character(first))
        }
    }

    /// A character of UTF-8 that begins with `first`.
    private func character(_ first: UInt8) -> String {
        var bytes = [first]
        let rest = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0
        for _ in 0..<rest { if let next = byte() { bytes.append(next) } }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func escape() -> Key? {
        switch byte() {
        case UInt8(ascii: "["): return sequence()
        case UInt8(ascii: "O"): return named(final: byte() ?? 0, parameters: "")
        case 10, 13: return .newline
        case UInt8(ascii: "b"): return .wordLeft
        case UInt8(ascii: "f"): return .wordRight
        case 127: return .killWord
        default: return nil
        }
    }

    /// What follows ESC [: parameters, then a final byte.
    private func sequence() -> Key? {
        var parameters = ""
        while let next = byte() {
            guard (0x30...0x3F).contains(next) else {
                if next == UInt8(ascii: "~"), parameters == "200" { return paste() }
                return named(final: next, parameters: parameters)
            }
            parameters.unicodeScalars.append(Unicode.Scalar(next))
        }
        return .endOfInput
    }

    private func named(final: UInt8, parameters: String) -> Key? {
        // `1;5` and `1;3` are Ctrl and Alt.
        let isWord = parameters.hasSuffix(";5") || parameters.hasSuffix(";3")
        switch final {
        case UInt8(ascii: "A"): return .up
        case UInt8(ascii: "B"): return .down
        case UInt8(ascii: "C"): return isWord ? .wordRight : .right
        case UInt8(ascii: "D"): return isWord ? .wordLeft : .left
        case UInt8(ascii: "H"): return .home
        case UInt8(ascii: "F"): return .end
        case UInt8(ascii: "~"):
            switch parameters {
            case "1", "7": return .home
            case "3": return .delete
            case "4", "8": return .end
            default: return nil
            }
        default: return nil
        }
    }

    /// Everything up to the end mark of a paste.
    private func paste() -> Key {
        let mark = Array("\u{1B}[201~".utf8)
        var bytes: [UInt8] = []
        while !bytes.suffix(mark.count).elementsEqual(mark), let next = byte() { bytes.append(next) }
        if bytes.suffix(mark.count).elementsEqual(mark) { bytes.removeLast(mark.count) }
        let lines = String(decoding: bytes, as: UTF8.self).split(omittingEmptySubsequences: false) {
            $0 == "\r\n" || $0 == "\r" || $0 == "\n"
        }
        return .paste(lines.joined(separator: "\n"))
    }
}
