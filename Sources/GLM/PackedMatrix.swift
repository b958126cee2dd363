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

    /// Bytes of its panels.
    var panelBytes: Int { regions[0].byteCount }

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
        let read = columns.map { Self.wholeBlocks($0, of: place.tensor, source: source) }
        let count = columns?.count ?? info.columns
        let skipped = ((columns?.lowerBound ?? 0) - (read?.lowerBound ?? 0)) / PanelMatrix.blockColumns
        let panelBytes = PanelMatrix.panelBytes(type: type, columns: count, skippedBlocks: skipped)
        let byteCount = (rows.count + PanelMatrix.panelRows - 1) / PanelMatrix.panelRows * panelBytes
        let path = cache?.path(tensor: place.tensor, rows: stands, columns: columns, type: type)
        let region: MemoryRegion
        if let path, let found = cache?.find(path, byteCount: byteCount, team: team) {
            region = found
            missing = nil
        } else {
            region = try MemoryRegion(byteCount: byteCount)
            missing = path
            try Self.pack(
                source.rows(of: place.tensor, stands, columns: read), format: format, type: type,
                skippedBlocks: skipped, columns: count, panelBytes: panelBytes, into: region, team: team)
        }
        let matrix = PanelMatrix(
            type: type, rows: rows.count, columns: count, base: region.base, skippedBlocks: skipped)
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
        _ stored: TensorRows, format: StoredFormat, type: WeightType, skippedBlocks: Int, columns: Int, panelBytes: Int,
        into region: MemoryRegion, team: Team
    ) {
        team.run { rank in
            for panel in team.share(of: region.byteCount / panelBytes, rank: rank) {
                let row = panel * PanelMatrix.panelRows
                packPanel(
                    into: region.base + panel * panelBytes, type: type, from: stored.base + row * stored.rowStride,
                    rowStride: stored.rowStride, rowCount: min(PanelMatrix.panelRows, stored.rows - row),
                    stored: format, skippedBlocks: skippedBlocks, columns: columns)
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
        case .q5_0: .q5_0
        case .q5_1: .q5_1
        case .q4_k: .q4_k
        case .q5_k: .q5_k
        case .q6_k: .q6_k
        default:
            throw Problem.invalid(
                "tensor \(tensor) is stored as \(rawValue), which this version cannot compute with; use a file of F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1 or Q4_0"
            )
        }
    }
}

extension PackedMatrix {
    /// `columns` and what else lies in their stored blocks: a rank's share may begin within a block of 256.
    private static func wholeBlocks(
        _ columns: Range<Int>, of tensor: String, source: any TensorSource
    ) -> Range<Int> {
        guard let info = source.tensors[tensor] else { return columns }
        let block = info.type.blockElements
        // What the tensor does not have stays outside, and is refused when it is read.
        let end = (columns.upperBound + block - 1) / block * block
        return columns.lowerBound / block * block..<(columns.upperBound > info.columns ? columns.upperBound : end)
    }
}

/// Panels of a product that a thread takes at a time, at most: a long stretch for memory, and a small part of any matrix that takes long.
let panelsInPortion = 64

extension Team {
    /// `count` items to be taken `most` at a time: for work that takes long beside the wait for whoever is held up.
    func portions(of count: Int, most: Int) -> Portions { Portions(of: count, members: size, most: most) }

    /// The contiguous share of `count` items that falls to `rank`.
    func share(of count: Int, rank: Int) -> Range<Int> {
        count * rank / size..<count * (rank + 1) / size
    }
}
