import Core
import Hummingbird
import Tokenization

/// `/v1/status`: the cluster as it is now.
struct StatusRoute: Sendable {
    let service: any ClusterService

    func add(to router: Router<BasicRequestContext>) {
        router.get("/v1/status") { [service] _, _ in Response(json: try await service.status().json) }
    }
}

extension ClusterStatus {
    /// The status for programs.
    var json: JSONValue {
        .record([
            "state": .string(state), "model": .string(model), "digest": .string(digest),
            "layout": .optional(layout?.description), "next_layout": .optional(nextLayout?.description),
            "epoch": .integer(epoch), "steps": .integer(steps),
            "queued_jobs": .integer(queuedJobs), "running_jobs": .integer(runningJobs),
            "totals": totals.json, "members": .array(members.map(\.json)),
        ])
    }
}

extension ClusterTotals {
    /// The totals for programs; they only grow while the coordinator lives.
    var json: JSONValue {
        .record([
            "prompt_tokens": .integer(promptTokens), "cached_tokens": .integer(cachedTokens),
            "looked_up_tokens": .integer(lookedUpTokens), "generated_tokens": .integer(generatedTokens),
            "accepted": .integer(accepted),
            "ended": .record(FinishReason.allCases.map { ($0.rawValue, JSONValue?.some(.integer(ended[$0] ?? 0))) }),
        ])
    }
}

extension ClusterStatus.Member {
    /// The member for programs; ranges are `[first, end)` as two numbers.
    var json: JSONValue {
        func range(_ range: Range<Int>?) -> JSONValue {
            range.map { .array([.integer($0.lowerBound), .integer($0.upperBound)]) } ?? .null
        }
        return .record([
            "worker": .string(worker.name), "state": .string(state), "stage": stage.map { .integer($0) } ?? .null,
            "rank": rank.map { .integer($0) } ?? .null, "layers": range(layers), "leaves": range(leaves),
            "memory_bytes": .integer(memory), "weight_bytes": .integer(weightBytes),
            "kv": kv.json, "busy": .real(busy), "peak_memory_bytes": .integer(peakMemory),
            "bytes_sent": .integer(traffic.total.bytes), "messages_sent": .integer(traffic.total.messages),
            "sent": .record(
                traffic.byName.map { name, sent in
                    (name, .record(["messages": .integer(sent.messages), "bytes": .integer(sent.bytes)]))
                }), "tokens": .integer(traffic.tokens), "threads": .integer(threads),
            "numa_nodes": numaNodes.isEmpty ? .null : .string(numaNodes), "activity": .string(activity),
        ])
    }
}

extension KVUse {
    /// A pool for programs: bytes, and by slot the pages in use and how often a sequence began with one.
    var json: JSONValue {
        .record([
            "capacity_bytes": .integer(pages * pageBytes), "used_bytes": .integer(used * pageBytes),
            "idle_bytes": .integer(idle * pageBytes),
            "spilled_bytes": .integer(spilled * pageBytes), "page_bytes": .integer(pageBytes), "pages": .integer(pages),
            "pages_used": .integer(used), "pages_idle": .integer(idle),
            "places_on_disk": stored.map { .integer($0) } ?? .null,
            "slot_pages": .array(slotPages.map { .integer($0) }),
            "slot_reuses": .array(slotReuses.map { .integer($0) }),
            "disk_trouble": trouble.isEmpty ? .null : .string(trouble),
        ])
    }
}
