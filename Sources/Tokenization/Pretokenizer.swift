/// The pattern that cuts text into pieces before bytes are merged; no token crosses a piece.
enum Pattern: UInt8, Sendable {
    /// GLM-4's:
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
    case glm = 1
    /// SmolLM's: each number is a piece of its own, what lies between is cut by
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case smollm = 2

    /// The first pattern as `tokenizer.json` spells it.
    static let glmExpression =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
}

/// A hand-written matcher for the two patterns over valid UTF-8, leftmost alternative first, linear in the text.
///
/// Where a pattern would look beyond `text`, the text ends: with special tokens in it, the caller passes one stretch
/// after the other.
struct Pretokenizer {
    let pattern: Pattern
    let text: UnsafeBufferPointer<UInt8>
    let classes: UnsafeBufferPointer<UInt8>

    /// The end of the piece that starts at `start`, which is inside the text.
    func end(from start: Int) -> Int {
        switch pattern {
        case .glm: endGLM(from: start)
        case .smollm: endSmolLM(from: start)
        }
    }

    private func endGLM(from start: Int) -> Int {
        let first = scalar(at: start)
        if first.code == 0x27, let end = contraction(after: first.end, foldingCase: true) { return end }
        switch first.kind {
        case ScalarClasses.letter: return skip(ScalarClasses.letter, from: first.end)
        case ScalarClasses.number:
            var end = first.end
            for _ in 0..<2 {
                guard end < text.count else { break }
                let next = scalar(at: end)
                guard next.kind == ScalarClasses.number else { break }
                end = next.end
            }
            return end
        default: break
        }
        let second = first.end < text.count ? scalar(at: first.end) : nil
        if let second, second.kind == ScalarClasses.letter, !isNewline(first.code) {
            return skip(ScalarClasses.letter, from: second.end)
        }
        if first.kind == ScalarClasses.other {
            return skipNewlines(from: skip(ScalarClasses.other, from: first.end))
        }
        if first.code == 0x20, let second, second.kind == ScalarClasses.other {
            return skipNewlines(from: skip(ScalarClasses.other, from: second.end))
        }
        return endOfSpace(from: start, afterNewlines: true)
    }

    private func endSmolLM(from start: Int) -> Int {
        let first = scalar(at: start)
        if first.kind == ScalarClasses.number { return first.end }
        if first.code == 0x27, let end = contraction(after: first.end, foldingCase: false) { return end }
        if first.kind != ScalarClasses.space { return skip(first.kind, from: first.end) }
        if first.code == 0x20, first.end < text.count {
            let second = scalar(at: first.end)
            if second.kind == ScalarClasses.letter || second.kind == ScalarClasses.other {
                return skip(second.kind, from: second.end)
            }
        }
        return endOfSpace(from: start, afterNewlines: false)
    }

    /// The end of a piece of white space: up to the last newline of the run if that is wanted and there is one, else
    /// all of the run but its last scalar, which goes to what follows.
    private func endOfSpace(from start: Int, afterNewlines: Bool) -> Int {
        var end = start
        var last = start
        var newline: Int?
        var follower = ScalarClasses.space
        while end < text.count {
            let next = scalar(at: end)
            guard next.kind == ScalarClasses.space else {
                follower = next.kind
                break
            }
            if isNewline(next.code) { newline = next.end }
            last = end
            end = next.end
        }
        if afterNewlines, let newline { return newline }
        // In SmolLM's pattern numbers are cut out first, so before a number the text ends.
        let atEnd = end == text.count || (pattern == .smollm && follower == ScalarClasses.number)
        return atEnd || last == start ? end : last
    }

    /// The end of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` whose letters start at `start`.
    private func contraction(after start: Int, foldingCase: Bool) -> Int? {
        func letter(_ at: Int) -> UInt8 {
            guard at < text.count else { return 0 }
            let byte = text[at]
            return foldingCase && byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
        }
        switch (letter(start), letter(start + 1)) {
        case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _):
            return start + 1
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return start + 2
        case (0xC5, 0xBF) where foldingCase:  // U+017F, the long s, is an s to simple case folding
            return start + 2
        default: return nil
        }
    }

    private func skip(_ kind: UInt8, from start: Int) -> Int {
        var end = start
        while end < text.count {
            let next = scalar(at: end)
            guard next.kind == kind else { break }
            end = next.end
        }
        return end
    }

    private func skipNewlines(from start: Int) -> Int {
        var end = start
        while end < text.count, text[end] == 0x0A || text[end] == 0x0D { end += 1 }
        return end
    }

    private func isNewline(_ code: UInt32) -> Bool { code == 0x0A || code == 0x0D }

    /// The scalar that starts at `start`, where the next one starts, and its class.
    @inline(__always)
    private func scalar(at start: Int) -> (code: UInt32, end: Int, kind: UInt8) {
        let lead = UInt32(text[start])
        var code = lead
        var end = start + 1
        if lead >= 0x80 {
            // The text is valid UTF-8, so the continuation bytes are there.
            if lead < 0xE0 {
                code = (lead & 0x1F) << 6 | continuation(start + 1)
                end = start + 2
            } else if lead < 0xF0 {
                code = (lead & 0x0F) << 12 | continuation(start + 1) << 6 | continuation(start + 2)
                end = start + 3
            } else {
                code =
                    (lead & 0x07) << 18 | continuation(start + 1) << 12 | continuation(start + 2) << 6
                    | continuation(start + 3)
                end = start + 4
            }
        }
        guard code < ScalarClasses.limit else { return (code, end, ScalarClasses.other) }
        return (code, end, classes[Int(code >> 2)] >> UInt8(2 * (code & 3)) & 3)
    }

    @inline(__always)
    private func continuation(_ at: Int) -> UInt32 { UInt32(text[at]) & 0x3F }
}
