import CProtobufC
import CWire
import Core

/// The payloads of keys and records.
extension Decoder {
    private func apiKey(_ key: Wire__ApiKey) throws -> APIKey {
        func limit(_ value: UInt64) throws -> Int? { value == 0 ? nil : try count(value) }
        let hash = [UInt8](UnsafeBufferPointer(start: key.hash.data, count: key.hash.data == nil ? 0 : key.hash.len))
        guard hash.count == 32, key.created.isFinite, key.expires.isFinite else {
            throw Problem.invalid("message: an API key without its hash or its times")
        }
        return APIKey(
            id: try name(key.id), name: try name(key.name), hash: hash,
            scope: try ours(key.scope, in: APIKey.Scope.wire, what: "key scope"),
            limits: APIKey.Limits(
                requestsPerMinute: try limit(key.requests_per_minute),
                tokensPerMinute: try limit(key.tokens_per_minute), jobs: try limit(key.jobs)),
            created: key.created, expires: key.has_expires != 0 ? key.expires : nil, isRevoked: key.is_revoked != 0,
            use: APIKey.Use(
                jobs: try count(key.used_jobs), promptTokens: try count(key.used_prompt_tokens),
                completionTokens: try count(key.used_completion_tokens)))
    }

    func keyList(_ list: Wire__KeyList) throws -> [APIKey] {
        var keys: [APIKey] = []
        for i in 0..<list.n_keys { keys.append(try apiKey(the(list.keys[i]))) }
        return keys
    }

    mutating func record(_ record: Wire__Record) throws -> Record {
        guard record.created.isFinite else { throw Problem.invalid("message: a record without a time") }
        return Record(
            Record.Name(try name(record.kind), try name(record.id)), owner: try name(record.owner),
            created: record.created, text: try text(record.text), data: try bytes(record.data))
    }

    func recordName(_ wanted: Wire__RecordName) throws -> Record.Name {
        Record.Name(try name(wanted.kind), try name(wanted.id))
    }

    mutating func recordList(_ list: Wire__RecordList) throws -> [Record] {
        var records: [Record] = []
        for i in 0..<list.n_records { records.append(try record(the(list.records[i]))) }
        return records
    }
}
