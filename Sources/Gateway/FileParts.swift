import Core
import Tokenization

/// Uploaded files in requests: where a text is expected, a file's id stands for the file's text.
///
/// Each API has its own part for it; `{"file_id": ...}` stands in the place of a completion's prompt or of a text to embed.
enum FileParts {
    /// A request's body with the texts of the files that it names.
    static func filled(_ body: JSONValue, from service: any ClusterService) async throws -> JSONValue {
        guard let members = body.members else { return body }
        var filled: [JSONValue.Member] = []
        for member in members {
            let holdsText = ["messages", "input", "prompt"].contains(member.key)
            filled.append(
                holdsText ? .init(member.key, try await self.filled(member, in: member.value, from: service)) : member)
        }
        return .object(filled)
    }

    private static func filled(
        _ field: JSONValue.Member, in value: JSONValue, from service: any ClusterService
    ) async throws -> JSONValue {
        if let elements = value.elements {
            // Tokens are many, and no files.
            guard elements.contains(where: { $0.members != nil }) else { return value }
            var all: [JSONValue] = []
            for element in elements { all.append(try await filled(field, in: element, from: service)) }
            return .array(all)
        }
        guard let members = value.members else { return value }
        if let (id, type) = reference(value) {
            let (file, data) = try await FileRoutes.file(id, service, withData: true)
            guard let text = String(validating: data, as: UTF8.self) else {
                throw APIError.field(
                    field.key, "\(field.key): the file \(file.id) (\(file.name)) is not UTF-8 text")
            }
            return type.map { .record(["type": .string($0), "text": .string(text)]) } ?? .string(text)
        }
        // The parts of a message are in its content.
        guard value["content"]?.elements != nil else { return value }
        var message: [JSONValue.Member] = []
        for member in members {
            let isContent = member.key == "content"
            message.append(
                isContent ? .init(member.key, try await filled(field, in: member.value, from: service)) : member)
        }
        return .object(message)
    }

    /// The file that a part names, and the type of the part of text that it stands for; nil where it stands for the text itself.
    private static func reference(_ part: JSONValue) -> (id: String, type: String?)? {
        switch part["type"]?.string {
        case "file": (part["file"]?["file_id"]?.string).map { ($0, "text") }
        case "input_file": (part["file_id"]?.string).map { ($0, "input_text") }
        case "document": (part["source"]?["file_id"]?.string).map { ($0, "text") }
        case nil: (part["file_id"]?.string).map { ($0, nil) }
        default: nil
        }
    }
}
