/// Who adds up which rows of a row-parallel product, when its sums are made of what several ranks have.
///
/// Few rows: every rank gets all roots and adds up everything, one exchange. Many rows: each adds up its own share and tells the others
/// (reduce-scatter, then all-gather): two exchanges, but a rank sends 2 (R-1)/R of its roots instead of R-1 times as much, and adds
/// up 1/R. The tree of a row is the same either way, so are the bits.
public struct RowDivision {
    /// Whether ranks add up different rows.
    public let isDivided: Bool
    private let rows: Int
    private let width: Int
    private let ranks: Int

    /// From so many bytes of a root on the rows are divided: what was measured on one host, see docs/performance.md.
    public static let leastBytes = 1 << 18

    /// The division of [rows, width] floats among `ranks`; the same on every rank.
    public init(rows: Int, width: Int, ranks: Int) {
        // With two ranks both ways send the same bytes.
        isDivided = ranks > 2 && rows * width * 4 >= Self.leastBytes
        self.rows = rows
        self.width = width
        self.ranks = ranks
    }

    /// The elements of [rows, width] that `rank` adds up.
    public func elements(of rank: Int) -> Range<Int> {
        isDivided ? rows * rank / ranks * width..<rows * (rank + 1) / ranks * width : 0..<rows * width
    }
}
