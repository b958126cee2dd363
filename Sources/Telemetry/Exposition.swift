/// Prometheus' text format, version 0.0.4, written family by family.
///
/// Names are the caller's; values of labels may be any text.
public struct Exposition: Sendable {
    /// What a family is.
    public enum Kind: String, Sendable {
        /// A number that only grows.
        case counter
        /// A number that goes up and down.
        case gauge
        /// How many values were at most so large.
        case histogram
    }

    /// One series of a family at this moment.
    public struct Sample: Sendable {
        /// Names and values of its labels.
        public var labels: [(String, String)]
        /// Its value.
        public var value: Double

        /// A series.
        public init(_ value: Double, _ labels: [(String, String)] = []) {
            self.labels = labels
            self.value = value
        }
    }

    /// What `Content-Type` says of the text.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The text so far.
    public private(set) var text = ""

    /// Nothing yet.
    public init() {}

    /// Writes a family; one without samples is left out.
    public mutating func family(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        head(name, kind, help)
        for sample in samples { line(name, sample.labels, Self.number(sample.value)) }
    }

    /// Writes a family of histograms.
    mutating func histograms(_ name: String, _ help: String, _ series: [([(String, String)], Histogram)]) {
        guard !series.isEmpty else { return }
        head(name, .histogram, help)
        for (labels, histogram) in series {
            var count = 0
            for (bound, added) in zip(histogram.bounds, histogram.counts) {
                count += added
                line("\(name)_bucket", labels + [("le", Self.number(bound))], "\(count)")
            }
            line("\(name)_bucket", labels + [("le", "+Inf")], "\(histogram.count)")
            line("\(name)_sum", labels, Self.number(histogram.sum))
            line("\(name)_count", labels, "\(histogram.count)")
        }
    }

    private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    private mutating func line(_ name: String, _ labels: [(String, String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.0)=\"\(Self.escaped($0.1, quotes: true))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// A number as Go reads it; whole ones without a fraction.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return abs(value) < 1e18 && value == value.rounded() ? "\(Int64(value))" : "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }
}

/// How many values were at most so large, and their sum.
struct Histogram: Sendable {
    /// The upper bounds, ascending; what is above the last is in `count` alone.
    let bounds: [Double]
    /// Values of each bound that no lower bound holds.
    private(set) var counts: [Int]
    private(set) var count = 0
    private(set) var sum = 0.0

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = [Int](repeating: 0, count: bounds.count)
    }

    mutating func add(_ value: Double) {
        count += 1
        sum += value
        if let bucket = bounds.firstIndex(where: { value <= $0 }) { counts[bucket] += 1 }
    }
}
