import Cluster
import Core
import FoundationEssentials

/// What one grid is predicted to do.
struct PlannedGrid: Encodable {
    /// One worker of it.
    struct Place: Encodable {
        var worker: String
        var stage: Int
        var rank: Int
        var layers: [Int]
        var leaves: [Int]
        var weightBytes: Int
        var kvBytes: Int
        var memoryBytes: Int
        var fits: Bool
    }

    var layout: String
    var workers: Int
    var fits: Bool
    /// Of the worker that holds most.
    var weightBytes: Int
    var kvBytes: Int
    var prefillSeconds: Double
    var prefillRateAtStart: Double
    var prefillRateAtEnd: Double
    var decodeRateAtEnd: Double
    var prefillWireBytesPerToken: Int
    var decodeWireBytesPerToken: Int
    var places: [Place]

    /// The prediction of `model` for `plan` and a context of so many tokens.
    init(layout: Layout, plan: Plan, model: CostModel, context: Int) {
        self.layout = layout.description
        workers = layout.workers
        places = zip(plan.allPlaces, model.grid.flatMap(\.self)).map { place, part in
            let slice = place.slice
            return Place(
                worker: place.worker.name, stage: slice.stage, rank: slice.rank,
                layers: [slice.layers.lowerBound, slice.layers.upperBound],
                leaves: [slice.leaves.lowerBound, slice.leaves.upperBound], weightBytes: place.weightBytes,
                kvBytes: part.kvBytes(context: context), memoryBytes: part.memory, fits: part.fits(context: context))
        }
        fits = places.allSatisfy(\.fits)
        let fullest = places.max { $0.weightBytes + $0.kvBytes < $1.weightBytes + $1.kvBytes }
        weightBytes = fullest?.weightBytes ?? 0
        kvBytes = fullest?.kvBytes ?? 0
        prefillSeconds = model.prefillSeconds(context: context)
        prefillRateAtStart = model.prefillRate(depth: 0)
        prefillRateAtEnd = model.prefillRate(depth: max(0, context - model.chunk))
        decodeRateAtEnd = model.decodeRate(depth: context)
        prefillWireBytesPerToken = Int(model.prefillWireBytes())
        decodeWireBytesPerToken = Int(model.decodeWireBytes())
    }
}

/// What `glm plan` tells.
struct PlanReport: Encodable {
    var model: String
    var context: Int
    var chunk: Int
    var type: String
    var kvType: String
    var hosts: Int
    var workers: Int
    /// What no measurement said.
    var assumed: [String]
    /// The grid for one question after the other: the fastest decode; nil when nothing fits.
    var fastAnswers: String?
    /// The grid for reading a document once: the shortest prefill; nil when nothing fits.
    var oneOffReading: String?
    var grids: [PlannedGrid]

    /// A report; grids that fit come first, the fastest answers before the others.
    init(
        model: String, context: Int, chunk: Int, type: String, kvType: String, hosts: Int, workers: Int,
        assumed: [String], grids: [PlannedGrid]
    ) {
        self.model = model
        self.context = context
        self.chunk = chunk
        self.type = type
        self.kvType = kvType
        self.hosts = hosts
        self.workers = workers
        self.assumed = assumed
        self.grids = grids.sorted { a, b in
            a.fits == b.fits ? a.decodeRateAtEnd > b.decodeRateAtEnd : a.fits
        }
        let fitting = grids.filter(\.fits)
        fastAnswers = fitting.max { $0.decodeRateAtEnd < $1.decodeRateAtEnd }?.layout
        oneOffReading = fitting.min { $0.prefillSeconds < $1.prefillSeconds }?.layout
    }

    /// The report as JSON.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    /// The report for people; `placed` adds each worker of the only grid.
    func page(placed: Bool) -> String {
        var page =
            "\(model): weights \(type), KV cache \(kvType), \(context) tokens in chunks of \(chunk); \(workers) workers on \(hosts) hosts\n"
        for line in assumed { page += "assumed, not measured: \(line)\n" }
        page +=
            "\n"
            + Terminal.table(
                [
                    "LAYOUT", "FITS", "WEIGHTS", "KV", "PREFILL", "T/S AT 0", "T/S AT END", "DECODE T/S",
                    "WIRE/T PREFILL",
                    "WIRE/T DECODE", "GOOD FOR",
                ], grids.map(row), right: [2, 3, 4, 5, 6, 7, 8, 9])
        page +=
            "\nWEIGHTS and KV are the fullest worker's; DECODE is at the end of the context; WIRE/T is all workers' bytes for a token.\n"
        if fastAnswers == nil, let least = grids.min(by: { $0.weightBytes + $0.kvBytes < $1.weightBytes + $1.kvBytes })
        {
            page +=
                "Nothing fits: \(least.layout) wants \(Terminal.bytes(least.weightBytes + least.kvBytes / 9 * 10)) of a worker; add hosts, or use a smaller --type, --kv-type or --context.\n"
        }
        if placed, let grid = grids.first {
            page +=
                "\n"
                + Terminal.table(
                    ["WORKER", "STAGE", "RANK", "LAYERS", "LEAVES", "WEIGHTS", "KV", "MEMORY", "FITS"],
                    grid.places.map { place in
                        [
                            place.worker, "\(place.stage)", "\(place.rank)", Self.span(place.layers),
                            Self.span(place.leaves),
                            Terminal.bytes(place.weightBytes), Terminal.bytes(place.kvBytes),
                            Terminal.bytes(place.memoryBytes), place.fits ? "yes" : "no",
                        ]
                    }, right: [1, 2, 5, 6, 7])
        }
        return page
    }

    private func row(_ grid: PlannedGrid) -> [String] {
        let goals = [(fastAnswers, "fast answers"), (oneOffReading, "one-off reading")]
        return [
            grid.layout, grid.fits ? "yes" : "no", Terminal.bytes(grid.weightBytes), Terminal.bytes(grid.kvBytes),
            Terminal.time(grid.prefillSeconds), Self.rate(grid.prefillRateAtStart), Self.rate(grid.prefillRateAtEnd),
            Self.rate(grid.decodeRateAtEnd), Terminal.bytes(grid.prefillWireBytesPerToken),
            Terminal.bytes(grid.decodeWireBytesPerToken),
            goals.filter { $0.0 == grid.layout }.map(\.1).joined(separator: ", "),
        ]
    }

    /// A rate with about three digits.
    private static func rate(_ value: Double) -> String {
        Terminal.fixed(value, places: value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0)
    }

    private static func span(_ ends: [Int]) -> String {
        ends[1] - ends[0] == 1 ? "\(ends[0])" : "\(ends[0])-\(ends[1] - 1)"
    }
}
