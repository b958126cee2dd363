/// Who adds up which rows of a row-parallel product, when its sums are made of what several ranks have.
///
/// Few rows: every rank gets all roots and adds up everything, one exchange. Many rows: each adds up its own share and tells the others
/// (reduce-scatter, then all-gather): two exchanges, but a rank sends 2 (R-1)/R of its roots instead of R-1 times as much, and adds
/// up 1/R. The tree of a row is the same either way, so are the bits.
public struct RowDivision {
    /// Whether ranks add up different rows.
    public let isDivided: Bool
    /// Whether shares are computed one after the other, so that one travels while the next is computed: between hosts, when they are
    /// large enough. Ranks of one host copy what they exchange themselves, and would only wait for each other.
    public let isOverlapped: Bool
    private let rows: Int
    private let width: Int
    private let ranks: Int

    /// From so many bytes of a root on the rows are divided: what was measured on one host, see docs/performance.md.
    public static let leastBytes = 1 << 18
    /// From so many rows of a rank on shares are computed one after the other: with fewer, reading the weights once for each share
    /// would set the pace.
    public static let leastRowsOverlapped = 128

    /// The division of [rows, width] floats among `ranks`, on one host or several; the same on every rank.
    public init(rows: Int, width: Int, ranks: Int, spansHosts: Bool) {
        isOverlapped = spansHosts && ranks > 1 && rows / ranks >= Self.leastRowsOverlapped
        // With two ranks both ways send the same bytes.
        isDivided = isOverlapped || ranks > 2 && rows * width * 4 >= Self.leastBytes
        self.rows = rows
        self.width = width
        self.ranks = ranks
    }

    /// The rows that `rank` adds up.
    public func rows(of rank: Int) -> Range<Int> {
        isDivided ? rows * rank / ranks..<rows * (rank + 1) / ranks : 0..<rows
    }

    /// The elements of [rows, width] that `rank` adds up.
    public func elements(of rank: Int) -> Range<Int> {
        let rows = rows(of: rank)
        return rows.lowerBound * width..<rows.upperBound * width
    }
}
