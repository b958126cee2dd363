public import CoreMetrics
import Synchronization

/// The meters of a process: what swift-metrics' users report arrives here and leaves as Prometheus' text.
public final class Meters: MetricsFactory, Sendable {
    /// What a family is about, by its name in the text; what libraries report besides needs no entry.
    struct Family: Sendable {
        var help: String
        var bounds: [Double] = Meters.seconds
    }

    /// Bounds for times from a millisecond to hours.
    static let seconds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 28_800,
    ]
    /// Bounds for numbers of tokens, up to a million.
    static let tokens: [Double] = (0...20).map { Double(1 << $0) }

    private struct Key: Hashable {
        var name: String
        var labels: [String]
    }

    private enum Series {
        case counter(CounterSeries)
        case gauge(GaugeSeries)
        case histogram(HistogramSeries)
    }

    private let families: [String: Family]
    private let series = Mutex<[Key: Series]>([:])

    init(_ families: [String: Family]) { self.families = families }

    /// The text of everything, families and series in order of name.
    public var text: String {
        let all = series.withLock { $0 }
        var exposition = Exposition()
        for (name, entries) in Dictionary(grouping: all, by: \.key.name).sorted(by: { $0.key < $1.key }) {
            let sorted = entries.sorted { $0.key.labels.lexicographicallyPrecedes($1.key.labels) }
            let help = families[name]?.help ?? "Reported by a library."
            var histograms: [([(String, String)], Histogram)] = []
            var samples: [Exposition.Sample] = []
            var kind = Exposition.Kind.gauge
            for (key, series) in sorted {
                let labels = stride(from: 0, to: key.labels.count, by: 2).map { (key.labels[$0], key.labels[$0 + 1]) }
                switch series {
                case .counter(let counter):
                    kind = .counter
                    samples.append(Exposition.Sample(Double(counter.value), labels))
                case .gauge(let gauge): samples.append(Exposition.Sample(gauge.value, labels))
                case .histogram(let histogram): histograms.append((labels, histogram.value))
                }
            }
            exposition.histograms(name, help, histograms)
            exposition.family(name, kind, help, samples)
        }
        return exposition.text
    }

    // MARK: What swift-metrics asks of a backend

    /// A counter; its name in the text ends with `_total`.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let name = Self.name(label)
        let made = find(name.hasSuffix("_total") ? name : name + "_total", dimensions) { _ in .counter(CounterSeries())
        }
        if case .counter(let counter) = made { return counter }
        return CounterSeries()
    }

    /// A histogram, or a gauge where values are not to be aggregated.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        let made = find(Self.name(label), dimensions) { bounds in
            aggregate ? .histogram(HistogramSeries(bounds)) : .gauge(GaugeSeries())
        }
        switch made {
        case .histogram(let histogram): return histogram
        case .gauge(let gauge): return gauge
        case .counter: return GaugeSeries()
        }
    }

    /// A gauge that also counts up and down.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        if case .gauge(let gauge) = find(Self.name(label), dimensions, make: { _ in .gauge(GaugeSeries()) }) {
            return gauge
        }
        return GaugeSeries()
    }

    /// A histogram of seconds; its name in the text ends with `_seconds`.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        let name = Self.name(label)
        let made = find(name.hasSuffix("_seconds") ? name : name + "_seconds", dimensions) {
            .histogram(HistogramSeries($0))
        }
        if case .histogram(let histogram) = made { return histogram }
        return HistogramSeries(Self.seconds)
    }

    /// Series stay: Prometheus wants counters that do not vanish.
    public func destroyCounter(_ handler: any CounterHandler) {}
    /// Series stay.
    public func destroyMeter(_ handler: any MeterHandler) {}
    /// Series stay.
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    /// Series stay.
    public func destroyTimer(_ handler: any TimerHandler) {}

    private func find(
        _ name: String, _ dimensions: [(String, String)], make: ([Double]) -> Series
    ) -> Series {
        let labels = dimensions.map { (Self.name($0.0), $0.1) }.sorted { $0.0 < $1.0 }.flatMap { [$0.0, $0.1] }
        let key = Key(name: name, labels: labels)
        let bounds = families[name]?.bounds ?? Self.seconds
        return series.withLock { all in
            if let found = all[key] { return found }
            let made = make(bounds)
            all[key] = made
            return made
        }
    }

    /// A label as Prometheus takes it: dots and the like become underscores.
    private static func name(_ label: String) -> String {
        let allowed = label.utf8.map { byte -> UInt8 in
            let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            return isLetter || isDigit ? byte : UInt8(ascii: "_")
        }
        let name = String(decoding: allowed, as: UTF8.self)
        return name.first?.isNumber == false ? name : "_" + name
    }
}

private final class CounterSeries: CounterHandler {
    private let total = Atomic<Int64>(0)
    var value: Int64 { total.load(ordering: .relaxed) }
    func increment(by amount: Int64) { total.add(amount, ordering: .relaxed) }
    func reset() { total.store(0, ordering: .relaxed) }
}

private final class GaugeSeries: RecorderHandler, MeterHandler {
    private let latest = Mutex(0.0)
    var value: Double { latest.withLock { $0 } }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { latest.withLock { $0 = value } }
    func set(_ value: Int64) { record(Double(value)) }
    func set(_ value: Double) { record(value) }
    func increment(by amount: Double) { latest.withLock { $0 += amount } }
    func decrement(by amount: Double) { latest.withLock { $0 -= amount } }
}

private final class HistogramSeries: RecorderHandler, TimerHandler {
    private let histogram: Mutex<Histogram>
    init(_ bounds: [Double]) { histogram = Mutex(Histogram(bounds: bounds)) }
    var value: Histogram { histogram.withLock { $0 } }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { histogram.withLock { $0.add(value) } }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) * 1e-9) }
}
