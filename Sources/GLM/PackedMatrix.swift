import Checkpoint
import Core
import KVCache
import Kernels
import Threads

/// Some rows and columns of a stored matrix, packed for the kernels in memory of their own.
struct PackedMatrix: @unchecked Sendable {  // written once, before anybody reads
    let matrix: PanelMatrix
    /// f32 [rows], or nil.
    let bias: UnsafePointer<Float>?
    /// Keeps the memory.
    private let regions: [MemoryRegion]

    /// Bytes in memory.
    var byteCount: Int { regions.reduce(0) { $0 + $1.byteCount } }

    /// Where the packed matrix belongs in a cache that did not have it.
    let missing: String?

    /// Packs `rows` (counted within `place`) and `columns` of a stored matrix; `type` nil keeps the stored type.
    ///
    /// The team packs panels side by side; only the rows and columns named are read, and none when `cache` has them packed.
    init(
        _ place: MatrixPlace, rows: Range<Int>, columns: Range<Int>? = nil, biasPlace: MatrixPlace? = nil,
        source: any TensorSource, type wanted: WeightType?, cache: PackedCache? = nil, team: Team
    ) throws {
        let first = place.rows.lowerBound
        let stands = first + rows.lowerBound..<first + rows.upperBound
        guard let info = source.tensors[place.tensor] else {
            throw Problem.invalid("tensor \(place.tensor) is missing")
        }
        let format = try info.type.format(of: place.tensor)
        let type = wanted ?? format.weightType
        let count = columns?.count ?? info.columns
        let byteCount = PanelMatrix.byteCount(type: type, rows: rows.count, columns: count)
        let path = cache?.path(tensor: place.tensor, rows: stands, columns: columns, type: type)
        let region: MemoryRegion
        if let path, let found = cache?.find(path, byteCount: byteCount, team: team) {
            region = found
            missing = nil
        } else {
            region = try MemoryRegion(byteCount: byteCount)
            missing = path
            try Self.pack(
                source.rows(of: place.tensor, stands, columns: columns), format: format, type: type, into: region,
                team: team)
        }
        let matrix = PanelMatrix(type: type, rows: rows.count, columns: count, base: region.base)
        var regions = [region]
        var bias: UnsafePointer<Float>?
        if let biasPlace {
            let offset = biasPlace.rows.lowerBound
            let values = try StoredVector(
                biasPlace.tensor, offset + rows.lowerBound..<offset + rows.upperBound, source: source)
            regions.append(values.region)
            bias = values.values
        }
        self.matrix = matrix
        self.bias = bias
        self.regions = regions
    }

    /// Packs the rows that were read; panels are shared out over the team.
    private static func pack(
        _ stored: TensorRows, format: StoredFormat, type: WeightType, into region: MemoryRegion, team: Team
    ) {
        let panelBytes = PanelMatrix.panelBytes(type: type, columns: stored.columns)
        team.run { rank in
            for panel in team.share(of: region.byteCount / panelBytes, rank: rank) {
                let row = panel * PanelMatrix.panelRows
                packPanel(
                    into: region.base + panel * panelBytes, type: type, from: stored.base + row * stored.rowStride,
                    rowStride: stored.rowStride, rowCount: min(PanelMatrix.panelRows, stored.rows - row),
                    stored: format, columns: stored.columns)
            }
        }
        withExtendedLifetime(stored) {}
    }

    /// Writes what the cache did not have.
    func keep(in cache: PackedCache, limit: Int) throws {
        guard let missing, let region = regions.first else { return }
        cache.makeRoom(for: region.byteCount, limit: limit)
        try cache.write(missing, UnsafeRawBufferPointer(start: region.base, count: region.byteCount))
    }
}

/// A stored vector (a norm's weights, a bias) as floats in memory of its own.
struct StoredVector: @unchecked Sendable {  // written once, before anybody reads
    let values: UnsafePointer<Float>
    let region: MemoryRegion

    /// Elements `range` of the vector called `name`, or all.
    init(_ name: String, _ range: Range<Int>? = nil, source: any TensorSource) throws {
        let stored = try source.rows(of: name, 0..<1, columns: range)
        let format = try stored.type.format(of: name)
        region = try MemoryRegion(byteCount: stored.columns * 4)
        let floats = region.base.bindMemory(to: Float.self, capacity: stored.columns)
        dequantize(stored.base, stored: format, columns: stored.columns, into: floats)
        withExtendedLifetime(stored) {}
        values = UnsafePointer(floats)
    }
}

extension StoredType {
    /// The kernels' name for this type, or a problem when they cannot read it.
    func format(of tensor: String) throws -> StoredFormat {
        switch self {
        case .f32: .f32
        case .bf16: .bf16
        case .f16: .f16
        case .q8_0: .q8_0
        case .q4_0: .q4_0
        case .q4_1: .q4_1
        default:
            throw Problem.invalid(
                "tensor \(tensor) is stored as \(rawValue), which this version cannot compute with; use F32, F16, BF16, Q8_0, Q4_0 or Q4_1"
            )
        }
    }
}

extension Team {
    /// The contiguous share of `count` items that falls to `rank`.
    func share(of count: Int, rank: Int) -> Range<Int> {
        count * rank / size..<count * (rank + 1) / size
    }
}
