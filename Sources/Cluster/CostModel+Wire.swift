import Core

/// What travels: hidden states between stages, partial sums and attention inside one, logits at the end. All f32.
extension CostModel {
    /// Bytes on all wires together for one token of a prompt, once every subtree of slots has a page.
    ///
    /// The last layer exchanges nothing for it: nobody asks for its logits.
    public func prefillWireBytes() -> Double {
        boundaryBytes
            + grid.indices.reduce(0.0) { sum, stage in
                let layers = (grid[stage].first?.layers ?? 0) - (stage == grid.count - 1 ? 1 : 0)
                return sum + Double(layers) * layerWireBytes(stage: stage, isDivided: division(stage: stage).isDivided)
            }
    }

    /// Bytes on all wires together for one token of an answer.
    public func decodeWireBytes() -> Double {
        let logits = (grid.last ?? []).dropFirst().reduce(0) { $0 + $1.vocabulary * 4 }
        return boundaryBytes + Double(logits)
            + grid.indices.reduce(0.0) { sum, stage in
                sum + Double(grid[stage].first?.layers ?? 0) * layerWireBytes(stage: stage, isDivided: false)
            }
    }

    /// Every rank of a stage sends the hidden state to the same rank of the next.
    private var boundaryBytes: Double {
        grid.dropLast().reduce(0.0) { $0 + Double($1.count * shape.hidden * 4) }
    }

    /// How the ranks of a stage divide the rows of a prompt's chunks.
    func division(stage: Int) -> RowDivision {
        RowDivision(
            rows: 512, width: shape.hidden, ranks: grid[stage].count,
            spansHosts: Set(grid[stage].map(\.host)).count > 1)
    }

    private func layerWireBytes(stage: Int, isDivided: Bool) -> Double {
        let sum = rootBytes(stage: stage, isDivided: isDivided)
        let exchanges = sum + sum + tradeBytes(stage: stage)
        return exchanges.reduce(0.0) { $0 + $1.reduce(0.0) { $0 + $1.reduce(0, +) } }
    }

    // MARK: Bytes of one token, by sender and receiver

    static func exchange(_ parts: [WorkerPart], _ bytes: (_ from: Int, _ to: Int) -> Double) -> [[Double]] {
        parts.indices.map { from in parts.indices.map { from == $0 ? 0 : bytes(from, $0) } }
    }

    /// One row-parallel sum: each rank sends the roots of its leaves to every other; or of each row's roots to the rank that adds it
    /// up, which then sends the sum to every other.
    private func rootBytes(stage: Int, isDivided: Bool) -> [[[Double]]] {
        let parts = grid[stage]
        let share = isDivided ? Double(parts.count) : 1
        let roots = Self.exchange(parts) { from, _ in Double(parts[from].roots * shape.hidden * 4) / share }
        return isDivided ? [roots, Self.exchange(parts) { _, _ in Double(shape.hidden * 4) / share }] : [roots]
    }

    /// Attention among ranks that share a KV head: queries there, then the states (m, l and o) of each subtree of slots back.
    private func tradeBytes(stage: Int) -> [[[Double]]] {
        let parts = grid[stage]
        guard parts.contains(where: { !peers(of: $0, stage: stage).isEmpty }) else { return [] }
        let queries = Self.exchange(parts) { from, to in
            parts[from].kvHeads.overlaps(parts[to].kvHeads) ? Double(parts[from].heads.count * shape.headDim * 4) : 0
        }
        let states = Self.exchange(parts) { from, to in
            var roots = 0
            for (index, head) in parts[from].kvHeads.enumerated() where parts[to].kvHeads.contains(head) {
                let readers = (head * shape.group..<(head + 1) * shape.group).clamped(to: parts[to].heads)
                roots += readers.count * Slots.subtrees(of: parts[from].share.slots[index]).count
            }
            return Double(roots * (shape.headDim + 2) * 4)
        }
        return [queries, states]
    }

    /// The other ranks of the stage that hold slots of a KV head of `part`.
    func peers(of part: WorkerPart, stage: Int) -> [WorkerPart] {
        grid[stage].filter { $0.worker != part.worker && $0.kvHeads.overlaps(part.kvHeads) }
    }

    // MARK: Times

    /// Seconds of one row-parallel sum's exchanges.
    func rootSeconds(stage: Int, tokens: Int, isDivided: Bool) -> Double {
        rootBytes(stage: stage, isDivided: isDivided).reduce(0.0) { $0 + seconds($1, grid[stage], tokens: tokens) }
    }

    /// Seconds for which a layer's two sums hold up a prompt's token, latency apart; the products take `qkv`, `out` and `ffn` seconds.
    ///
    /// Where shares of rows are computed one after the other, a rank's share of a product hides what travels meanwhile: the roots behind the
    /// product itself, the sums behind the next one (gate and up, then q, k and v).
    func sumSecondsOfToken(stage: Int, qkv: Double, out: Double, ffn: Double) -> Double {
        let division = division(stage: stage)
        let ways = rootBytes(stage: stage, isDivided: division.isDivided).map {
            seconds($0, grid[stage], tokens: 1) - seconds($0, grid[stage], tokens: 0)
        }
        guard division.isOverlapped else { return 2 * ways.reduce(0, +) }
        let share = 1 / Double(grid[stage].count)
        let products = [[out, ffn / 3], [ffn * 2 / 3, qkv]]
        return zip(ways, products).reduce(0.0) { sum, both in
            both.1.reduce(sum) { $0 + max(0, both.0 - $1 * share) }
        }
    }

    /// Seconds of both trades of a layer's attention, where ranks share KV heads.
    func tradeSeconds(stage: Int, tokens: Int) -> Double {
        tradeBytes(stage: stage).reduce(0.0) { $0 + seconds($1, grid[stage], tokens: tokens) }
    }

    /// Seconds of the hidden states' way to the next stage.
    func boundarySeconds(after stage: Int, tokens: Int) -> Double {
        let parts = zip(grid[stage], grid[stage + 1]).flatMap { [$0, $1] }
        let bytes = Self.exchange(parts) { from, to in
            from % 2 == 0 && to == from + 1 ? Double(shape.hidden * 4) : 0
        }
        return seconds(bytes, parts, tokens: tokens)
    }

    /// Seconds of an exchange that everybody waits for: the latency of the longest way used, and the bytes of the busiest
    /// worker on the short way and of the busiest host on the long one, each in its busier direction.
    func seconds(_ bytes: [[Double]], _ parts: [WorkerPart], tokens: Int = 1) -> Double {
        var latency = 0.0
        var near: [WorkerID: (out: Double, back: Double)] = [:]
        var far: [String: (out: Double, back: Double)] = [:]
        for (from, row) in bytes.enumerated() {
            for (to, count) in row.enumerated() where count > 0 {
                let isNear = parts[from].host == parts[to].host
                latency = max(latency, (isNear ? local : network).latency)
                if isNear {
                    near[parts[from].worker, default: (0, 0)].out += count
                    near[parts[to].worker, default: (0, 0)].back += count
                } else {
                    far[parts[from].host, default: (0, 0)].out += count
                    far[parts[to].host, default: (0, 0)].back += count
                }
            }
        }
        let nearest = near.values.map { max($0.out, $0.back) }.max() ?? 0
        let farthest = far.values.map { max($0.out, $0.back) }.max() ?? 0
        return latency + Double(tokens) * max(nearest / local.bandwidth, farthest / network.bandwidth)
    }
}
