import CWire
import Core

/// The payloads of keys and records.
extension Encoder {
    private mutating func apiKey(_ key: APIKey) -> UnsafeMutablePointer<Wire__ApiKey>? {
        let made = arena.new(wire__api_key__init)
        made.pointee.id = arena.place(text: key.id)
        made.pointee.name = arena.place(text: key.name)
        made.pointee.hash = arena.place(raw: key.hash)
        made.pointee.scope = wireValue(
            key.scope, in: APIKey.Scope.wire, unspecified: WIRE__KEY_SCOPE__KEY_SCOPE_UNSPECIFIED)
        made.pointee.requests_per_minute = UInt64(clamping: key.limits.requestsPerMinute ?? 0)
        made.pointee.tokens_per_minute = UInt64(clamping: key.limits.tokensPerMinute ?? 0)
        made.pointee.jobs = UInt64(clamping: key.limits.jobs ?? 0)
        made.pointee.created = key.created
        made.pointee.has_expires = key.expires == nil ? 0 : 1
        made.pointee.expires = key.expires ?? 0
        made.pointee.is_revoked = key.isRevoked ? 1 : 0
        made.pointee.used_jobs = UInt64(clamping: key.use.jobs)
        made.pointee.used_prompt_tokens = UInt64(clamping: key.use.promptTokens)
        made.pointee.used_completion_tokens = UInt64(clamping: key.use.completionTokens)
        return made
    }

    mutating func keyList(_ keys: [APIKey]) -> UnsafeMutablePointer<Wire__KeyList> {
        let made = arena.new(wire__key_list__init)
        made.pointee.n_keys = keys.count
        made.pointee.keys = arena.place(keys.map { apiKey($0) })
        return made
    }

    mutating func record(_ record: Record) -> UnsafeMutablePointer<Wire__Record> {
        let made = arena.new(wire__record__init)
        made.pointee.kind = arena.place(text: record.name.kind)
        made.pointee.id = arena.place(text: record.name.id)
        made.pointee.owner = arena.place(text: record.owner)
        made.pointee.created = record.created
        made.pointee.text = arena.place(bytes: record.text)
        made.pointee.data = blob(record.data)
        return made
    }

    mutating func recordName(_ name: Record.Name, withData: Bool = false) -> UnsafeMutablePointer<Wire__RecordName> {
        let made = arena.new(wire__record_name__init)
        made.pointee.kind = arena.place(text: name.kind)
        made.pointee.id = arena.place(text: name.id)
        made.pointee.with_data = withData ? 1 : 0
        return made
    }

    mutating func recordList(_ records: [Record]) -> UnsafeMutablePointer<Wire__RecordList> {
        let made = arena.new(wire__record_list__init)
        made.pointee.n_records = records.count
        made.pointee.records = arena.place(records.map { record in Optional(self.record(record)) })
        return made
    }
}
