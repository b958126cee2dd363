import Core
import Testing

@testable import Coordinator

@Suite("Queue and limits")
struct LimitsTests {
    @Test("who waits is told the place, and the time when the rooms before it are free")
    func forecast() {
        let jobs = (1...5).map { JobID("job-\($0)") }
        let forecast = QueueForecast(waiting: jobs, running: [30, nil, 10])
        let starts = (1...5).map { forecast.secondsToStart(at: $0) ?? -1 }
        #expect(starts == [10, 30, 30, 50, 50])
        let state = JobState(id: jobs[2], phase: .queued, prefill: PrefillProgress(total: 1), accepted: 0)
        #expect(forecast.completed(state).queuePosition == 3)
        #expect(forecast.completed(state).secondsToStart == 30)
        #expect(QueueForecast(waiting: jobs, running: []).completed(state).secondsToStart == nil)
        let other = JobState(id: JobID("job-9"), phase: .decode, prefill: PrefillProgress(total: 1), accepted: 0)
        #expect(forecast.completed(other).queuePosition == nil)
    }

    @Test("a limit of requests a minute lets a minute's worth through at once, then an even flow")
    func requests() {
        var meter = KeyMeter()
        let limits = APIKey.Limits(requestsPerMinute: 6)
        for _ in 0..<6 { #expect(meter.take(tokens: 1000, limits: limits, now: .zero) == nil) }
        #expect(meter.take(tokens: 1, limits: limits, now: .zero) == 10)
        #expect(meter.take(tokens: 1, limits: limits, now: .seconds(9)).map { $0.rounded() } == 1)
        #expect(meter.take(tokens: 1, limits: limits, now: .seconds(10)) == nil)
        #expect(meter.take(tokens: 1, limits: limits, now: .seconds(10)) != nil)
        #expect(meter.take(tokens: 1, limits: APIKey.Limits(), now: .seconds(10)) == nil)
    }

    @Test("tokens of answers count when they are there, and a prompt longer than a minute's worth passes a full bucket")
    func tokens() {
        var meter = KeyMeter()
        let limits = APIKey.Limits(tokensPerMinute: 60)
        #expect(meter.take(tokens: 10, limits: limits, now: .zero) == nil)
        meter.charge(tokens: 80)
        #expect(meter.take(tokens: 1, limits: limits, now: .zero) == 31)
        #expect(meter.take(tokens: 1, limits: limits, now: .seconds(31)) == nil)
        #expect(meter.take(tokens: 500, limits: limits, now: .seconds(40)) != nil)
        #expect(meter.take(tokens: 500, limits: limits, now: .seconds(91)) == nil)
        #expect(meter.take(tokens: 1, limits: limits, now: .seconds(92)).map { $0 > 400 } == true)
    }
}
