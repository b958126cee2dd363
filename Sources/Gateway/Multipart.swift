import NIOCore

/// A form with files (`multipart/form-data`, RFC 7578), taken apart.
struct Multipart {
    /// One field of the form.
    struct Part {
        var name: String
        /// The file's name, where it is a file.
        var fileName: String?
        var data: [UInt8]
    }

    let parts: [Part]

    /// The form in `body`; `contentType` is the request's header, which names the boundary.
    init(_ body: ByteBuffer, contentType: String) throws(APIError) {
        guard contentType.lowercased().hasPrefix("multipart/form-data"),
            let boundary = Self.parameter("boundary", of: contentType), (1...70).contains(boundary.utf8.count)
        else {
            throw APIError(
                status: 400,
                message: "expected a form (multipart/form-data with a boundary), found '\(contentType.prefix(80))'",
                code: "invalid_form")
        }
        let bytes = Array(body.readableBytesView)
        let mark = Array("--\(boundary)".utf8)
        var places: [Int] = []
        var at = 0
        while let found = Self.find(mark, in: bytes, from: at) {
            at = found + mark.count
            // A mark is a line of its own, or the end; what looks like one within a file does not count.
            let begins = found == 0 || found >= 2 && bytes[found - 2] == 13 && bytes[found - 1] == 10
            let next = bytes[at...].prefix(2)
            if begins, next.elementsEqual([13, 10]) || next.elementsEqual([45, 45]) { places.append(found) }
        }
        guard let last = places.last, Array(bytes[(last + mark.count)...].prefix(2)) == Array("--".utf8) else {
            throw Self.torn
        }
        var parts: [Part] = []
        for (start, end) in zip(places, places.dropFirst()) {
            parts.append(try Self.part(bytes[(start + mark.count)..<end]))
            guard parts.count <= 100 else { throw Self.torn }
        }
        self.parts = parts
    }

    subscript(_ name: String) -> Part? { parts.first { $0.name == name } }

    /// The text of a field.
    func text(_ name: String) -> String? { self[name].map { String(decoding: $0.data, as: UTF8.self) } }

    private static let torn = APIError(
        status: 400, message: "the form is torn: its parts do not end with its boundary", code: "invalid_form")

    /// A part between two marks: a line's end, the fields of its head, an empty line, data, a line's end.
    private static func part(_ bytes: ArraySlice<UInt8>) throws(APIError) -> Part {
        let all = Array(bytes)
        let gap = Array("\r\n\r\n".utf8)
        guard all.starts(with: [13, 10]), let end = find(gap, in: all, from: 0), end + 4 <= all.count - 2 else {
            throw torn
        }
        var name: String?
        var fileName: String?
        for line in String(decoding: all[2..<max(end, 2)], as: UTF8.self).split(whereSeparator: \.isNewline) {
            guard line.lowercased().hasPrefix("content-disposition:") else { continue }
            name = parameter("name", of: String(line))
            fileName = parameter("filename", of: String(line))
        }
        guard let name else { throw torn }
        return Part(name: name, fileName: fileName, data: Array(all[(end + 4)..<(all.count - 2)]))
    }

    /// The value of a parameter of a header, its quotes taken off.
    private static func parameter(_ key: String, of header: String) -> String? {
        for piece in header.split(separator: ";").dropFirst() {
            let trimmed = piece.drop { $0 == " " || $0 == "\t" }
            guard trimmed.lowercased().hasPrefix(key + "=") else { continue }
            let value = trimmed.dropFirst(key.count + 1)
            return value.hasPrefix("\"") ? String(value.dropFirst().prefix { $0 != "\"" }) : String(value)
        }
        return nil
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard let first = needle.first, bytes.count >= needle.count else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            needle.withUnsafeBufferPointer { needle in
                var at = start
                while at + needle.count <= bytes.count {
                    if bytes[at] == first {
                        var matched = 1
                        while matched < needle.count, bytes[at + matched] == needle[matched] { matched += 1 }
                        if matched == needle.count { return at }
                    }
                    at += 1
                }
                return nil
            }
        }
    }
}
