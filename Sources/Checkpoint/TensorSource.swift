import Core

/// A stored tensor's name, element type and shape.
public struct TensorInfo: Sendable, Codable, Hashable {
    /// The name, as the file spells it.
    public var name: String
    /// How its elements are written.
    public var type: StoredType
    /// Its dimensions, slowest first: [rows, columns] or [n]. GGUF files, which store the fastest first, are turned round.
    public var shape: [Int]

    /// A tensor called `name`.
    public init(name: String, type: StoredType, shape: [Int]) {
        self.name = name
        self.type = type
        self.shape = shape
    }

    /// Elements of a row: the last dimension, or 1 for a scalar.
    public var columns: Int { shape.last ?? 1 }

    /// Rows when all leading dimensions are one. A vector is one row. 0 when the product overflows.
    public var rows: Int { shape.dropLast().checkedProduct ?? 0 }

    /// Elements in all, or nil when there are too many to count.
    public var elementCount: Int? { shape.checkedProduct }

    /// Bytes in all, or nil when a row is no whole number of blocks or the size overflows.
    public var byteCount: Int? {
        guard columns % type.blockElements == 0 else { return nil }
        return elementCount.flatMap { type.byteCount(elements: $0) }
    }
}

extension Collection where Element == Int {
    /// The product, or nil when it overflows or a factor is negative.
    var checkedProduct: Int? {
        var product = 1
        for factor in self {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            if overflow || factor < 0 { return nil }
            product = next
        }
        return product
    }
}

/// The bytes of some rows of a tensor: row i begins at `base + i * rowStride`.
///
/// `base` has no alignment: a safetensors file may put a tensor at any byte. `owner` keeps the memory; hold the value
/// (`withExtendedLifetime`) for as long as the pointer is used.
public struct TensorRows: @unchecked Sendable {
    /// The first row's first byte.
    public let base: UnsafeRawPointer
    /// Bytes from one row to the next.
    public let rowStride: Int
    /// Rows.
    public let rows: Int
    /// How the elements are written.
    public let type: StoredType
    /// Elements of each row.
    public let columns: Int
    /// What keeps the memory.
    public let owner: AnyObject?

    /// Rows at `base`, kept by `owner`, who must not change them.
    public init(
        base: UnsafeRawPointer, rowStride: Int, rows: Int, type: StoredType, columns: Int, owner: AnyObject?
    ) {
        self.base = base
        self.rowStride = rowStride
        self.rows = rows
        self.type = type
        self.columns = columns
        self.owner = owner
    }
}

/// Where tensors come from: a local file, or the coordinator over the wire.
public protocol TensorSource: Sendable {
    /// Every tensor by name.
    var tensors: [String: TensorInfo] { get }

    /// Some rows of a tensor (a vector is one row); `columns` restricts them to elements at whole blocks.
    ///
    /// A local file answers with pointers into its map: nothing is copied, no other page is touched.
    func rows(of name: String, _ rows: Range<Int>, columns: Range<Int>?) throws -> TensorRows
}

extension TensorInfo {
    /// Where rows and columns lie, counted in bytes from the tensor's first, or a problem when it has no such part.
    public func part(rows: Range<Int>, columns: Range<Int>?) throws -> (offset: Int, rowStride: Int, columns: Int) {
        let wanted = columns ?? 0..<self.columns
        guard rows.lowerBound >= 0, rows.upperBound <= self.rows else {
            throw Problem.invalid("tensor \(name) has rows 0..<\(self.rows); rows \(rows) were asked for")
        }
        let block = type.blockElements
        guard wanted.lowerBound >= 0, wanted.upperBound <= self.columns, wanted.lowerBound % block == 0,
            wanted.upperBound % block == 0
        else {
            throw Problem.invalid(
                "tensor \(name) has columns 0..<\(self.columns) in blocks of \(block); columns \(wanted) were asked for"
            )
        }
        guard byteCount != nil, let stride = type.byteCount(elements: self.columns),
            let indent = type.byteCount(elements: wanted.lowerBound)
        else { throw Problem.invalid("tensor \(name) has an impossible shape \(shape) for \(type.rawValue)") }
        return (rows.lowerBound * stride + indent, stride, wanted.count)
    }
}
