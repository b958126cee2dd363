import CoreMetrics
import Testing

@testable import Telemetry

@Suite("Meters")
struct MetersTests {
    @Test("counters, gauges and histograms are written in Prometheus' text, in order of name")
    func text() {
        let meters = Meters([
            "b_seconds": .init(help: "How\nlong \\ it took.", bounds: [0.5, 1]), "a_total": .init(help: "So many."),
        ])
        let counter = Counter(label: "a", dimensions: [("why", "said \"no\"\n"), ("by.whom", "x")], factory: meters)
        counter.increment()
        counter.increment(by: 2)
        Gauge(label: "c", factory: meters).record(1.25)
        let recorder = Recorder(label: "b_seconds", factory: meters)
        for value in [0.25, 0.5, 0.75, 7] { recorder.record(value) }
        #expect(
            meters.text == """
                # HELP a_total So many.
                # TYPE a_total counter
                a_total{by_whom="x",why="said \\"no\\"\\n"} 3
                # HELP b_seconds How\\nlong \\\\ it took.
                # TYPE b_seconds histogram
                b_seconds_bucket{le="0.5"} 2
                b_seconds_bucket{le="1"} 3
                b_seconds_bucket{le="+Inf"} 4
                b_seconds_sum 8.5
                b_seconds_count 4
                # HELP c Reported by a library.
                # TYPE c gauge
                c 1.25

                """)
    }

    @Test("what is made twice is one series, and a timer counts seconds")
    func again() {
        let meters = Meters([:])
        for _ in 0..<3 { Counter(label: "n", dimensions: [("a", "1"), ("b", "2")], factory: meters).increment() }
        Counter(label: "n_total", dimensions: [("b", "2"), ("a", "1")], factory: meters).increment()
        #expect(meters.text.contains("\nn_total{a=\"1\",b=\"2\"} 4\n"))
        Timer(label: "took", factory: meters).recordMilliseconds(1500)
        #expect(meters.text.contains("took_seconds_sum 1.5\n"))
        let meter = Meter(label: "open", factory: meters)
        meter.increment()
        meter.increment()
        meter.decrement()
        #expect(meters.text.contains("\nopen 1\n"))
    }

    @Test("numbers are written as Go reads them")
    func numbers() {
        #expect(Exposition.number(.infinity) == "+Inf")
        #expect(Exposition.number(-.infinity) == "-Inf")
        #expect(Exposition.number(.nan) == "NaN")
        #expect(Exposition.number(1e15) == "1000000000000000")
        #expect(Exposition.number(1e21) == "1e+21")
        #expect(Exposition.number(123_456_789) == "123456789")
        #expect(Exposition.number(0.0025) == "0.0025")
    }
}
