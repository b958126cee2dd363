import Core
import Telemetry

/// A cluster's status as Prometheus' series. Every gateway of a cluster reports the same: scrape one, or take the maximum.
enum ClusterExposition {
    private typealias Sample = Exposition.Sample

    /// The series; without a status only that there is none.
    static func text(_ status: ClusterStatus?) -> String {
        var out = Exposition()
        out.family(
            "glm_cluster_up", .gauge, "Whether the coordinator answers the gateway.", [Sample(status == nil ? 0 : 1)])
        guard let status else { return out.text }
        out.family(
            "glm_cluster_ready", .gauge, "Whether jobs run.", [Sample(status.state == "ready" ? 1 : 0)])
        out.family(
            "glm_cluster_info", .gauge, "What is served, and on which grid; always 1.",
            [
                Sample(
                    1,
                    [
                        ("model", status.model), ("digest", String(status.digest.prefix(12))),
                        ("layout", status.layout?.description ?? ""),
                    ])
            ])
        out.family("glm_cluster_epoch", .gauge, "The plan's number.", [Sample(Double(status.epoch))])
        out.family("glm_steps_total", .counter, "Steps of the plan in force.", [Sample(Double(status.steps))])
        jobs(status, &out)
        cache(status, &out)
        workers(status, &out)
        return out.text
    }

    private static func jobs(_ status: ClusterStatus, _ out: inout Exposition) {
        let totals = status.totals
        out.family("glm_num_requests_running", .gauge, "Jobs that run.", [Sample(Double(status.runningJobs))])
        out.family("glm_num_requests_waiting", .gauge, "Jobs that wait.", [Sample(Double(status.queuedJobs))])
        out.family("glm_requests_total", .counter, "Jobs that were accepted.", [Sample(Double(totals.accepted))])
        let names = [(FinishReason.stop, "stop"), (.length, "length"), (.cancelled, "abort"), (.error, "error")]
        out.family(
            "glm_request_success_total", .counter, "Jobs that ended, by how; abort and error are no success.",
            names.map { Sample(Double(totals.ended[$0.0] ?? 0), [("finished_reason", $0.1)]) })
        out.family(
            "glm_prompt_tokens_total", .counter, "Tokens of prompts that were read, those found in the cache included.",
            [Sample(Double(totals.promptTokens))])
        out.family(
            "glm_generation_tokens_total", .counter, "Tokens that were generated.",
            [Sample(Double(totals.generatedTokens))])
    }

    private static func cache(_ status: ClusterStatus, _ out: inout Exposition) {
        let pools = status.members.map(\.kv).filter { $0.pages > 0 }
        // The fullest worker decides what is admitted.
        let fullest = pools.map { Double($0.used - $0.idle) / Double($0.pages) }.max() ?? 0
        out.family(
            "glm_kv_cache_usage_perc", .gauge, "KV cache in use by jobs on the fullest worker; 1 is all.",
            [Sample(fullest)])
        out.family(
            "glm_prefix_cache_queries_total", .counter, "Tokens of prompts that were looked up in the KV cache.",
            [Sample(Double(status.totals.lookedUpTokens))])
        out.family(
            "glm_prefix_cache_hits_total", .counter, "Tokens of prompts that were found there.",
            [Sample(Double(status.totals.cachedTokens))])
    }

    private static func workers(_ status: ClusterStatus, _ out: inout Exposition) {
        func each(
            _ name: String, _ kind: Exposition.Kind, _ help: String, _ value: (ClusterStatus.Member) -> Double
        ) {
            out.family(
                name, kind, help,
                status.members.map { member in
                    Sample(
                        value(member),
                        [
                            ("worker", member.worker.name), ("stage", member.stage.map { "\($0)" } ?? ""),
                            ("rank", member.rank.map { "\($0)" } ?? ""),
                        ])
                })
        }
        let states = ["joining", "loading", "ready", "spare", "draining", "drained", "failed"]
        out.family(
            "glm_workers", .gauge, "Workers, by state.",
            states.map { state in
                Sample(Double(status.members.count { $0.state == state }), [("state", state)])
            })
        each("glm_worker_busy_ratio", .gauge, "The share of its last steps' time that a worker computed.") { $0.busy }
        each("glm_worker_threads", .gauge, "Compute threads.") { Double($0.threads) }
        each("glm_worker_memory_bytes", .gauge, "Memory that a worker offers.") { Double($0.memory) }
        each("glm_worker_peak_memory_bytes", .gauge, "The most memory that its process ever held.") {
            Double($0.peakMemory)
        }
        each("glm_worker_weight_bytes", .gauge, "Weights that it holds.") { Double($0.weightBytes) }
        each("glm_worker_kv_capacity_bytes", .gauge, "Its KV pool.") { Double($0.kv.pages * $0.kv.pageBytes) }
        each("glm_worker_kv_used_bytes", .gauge, "Pages in use, those kept for the next prompt included.") {
            Double($0.kv.used * $0.kv.pageBytes)
        }
        each("glm_worker_kv_idle_bytes", .gauge, "Pages kept for the next prompt that begins alike.") {
            Double($0.kv.idle * $0.kv.pageBytes)
        }
        each("glm_worker_kv_spilled_bytes", .gauge, "Pages in a file because memory is full.") {
            Double($0.kv.spilled * $0.kv.pageBytes)
        }
        each("glm_worker_disk_trouble", .gauge, "Whether pages cannot be kept on its disk.") {
            $0.kv.trouble.isEmpty ? 0 : 1
        }
        each("glm_worker_sent_bytes_total", .counter, "Bytes that it sent to other workers.") {
            Double($0.traffic.total.bytes)
        }
        each("glm_worker_sent_messages_total", .counter, "Messages that it sent to other workers.") {
            Double($0.traffic.total.messages)
        }
    }
}
