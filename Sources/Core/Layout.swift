/// A grid of workers: pipeline stages times tensor ranks, written `2x4`.
public struct Layout: Hashable, Sendable, CustomStringConvertible {
    /// Pipeline stages: consecutive runs of layers.
    public var stages: Int
    /// Tensor ranks in every stage, at most `Leaves.count`.
    public var ranks: Int

    /// A grid of `stages` by `ranks`.
    public init(stages: Int, ranks: Int) {
        self.stages = stages
        self.ranks = ranks
    }

    /// One process that does everything.
    public static let single = Layout(stages: 1, ranks: 1)

    /// Reads `SxR`.
    public init(_ text: String) throws {
        let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let stages = parts[0], let ranks = parts[1], stages >= 1, ranks >= 1 else {
            throw Problem.invalid("layout '\(text)' is not of the form STAGESxRANKS; write for example 2x2")
        }
        guard ranks <= Leaves.count else {
            throw Problem.invalid(
                "layout \(text) has \(ranks) ranks a stage; at most \(Leaves.count) are possible, use more stages")
        }
        self.init(stages: stages, ranks: ranks)
    }

    /// How many workers the grid takes.
    public var workers: Int { stages * ranks }
    /// `STAGESxRANKS`.
    public var description: String { "\(stages)x\(ranks)" }
}
