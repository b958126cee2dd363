import Cluster
public import Core
import Wire

/// Links that are being measured, one pair of workers after the other.
struct LinkMeasurement {
    var epoch: UInt32
    /// Who sends to whom; the first pair is at work.
    var left: ArraySlice<(from: Plan.Place, to: Plan.Place)>
    /// The first pair's, and since when it is at work.
    var number: UInt64
    var begun: Duration
    var rates: [LinkRate] = []
    var continuation: CheckedContinuation<[LinkRate], any Error>
}

/// What the links between the plan's workers can do.
///
/// Both workers of a pair hear of it at the same place between two steps, as they hear of steps: in one order. So none waits in a step for one
/// that waits for it in a measurement.
extension Coordinator {
    /// How long a pair may take: it waits for the steps that are on their way, then it measures for less than a second.
    private static let patience = Duration.seconds(30)

    /// Measures the links between all workers of the layout, one pair after the other.
    public func measureLinks() async throws -> [LinkRate] {
        guard assembly.phase == .active, let plan = assembly.plan else {
            throw Problem.unavailable("the cluster is not ready: \(stateInWords)")
        }
        if let under = measurement {
            throw Problem.busy("the links are being measured already; try again", retryAfter: under.left.count / 2)
        }
        let places = plan.allPlaces
        guard places.count > 1 else {
            throw Problem.invalid("layout \(plan.layout) has one worker and so no link; use a layout of two or more")
        }
        for place in places where members[place.worker]?.hello.measuresLinks != true {
            throw Problem.unavailable(
                "worker \(place.worker) is of a release that cannot measure its links; start it with this one")
        }
        let pairs = places.flatMap { from in
            places.compactMap { $0.worker == from.worker ? nil : (from: from, to: $0) }
        }
        return try await withCheckedThrowingContinuation { continuation in
            measurement = LinkMeasurement(
                epoch: plan.epoch, left: pairs[...], number: 0, begun: now, continuation: continuation)
            measureNextLink()
        }
    }

    /// Has the next pair measure, or ends the measurement.
    private func measureNextLink() {
        guard var under = measurement else { return }
        guard let (from, to) = under.left.first else {
            measurement = nil
            return under.continuation.resume(returning: under.rates)
        }
        probes += 1
        under.number = probes
        under.begun = now
        measurement = under
        for (place, other) in [(from, to), (to, from)] {
            tell(
                place.worker,
                .probe(
                    Probe(
                        epoch: under.epoch, number: under.number, stage: other.slice.stage, rank: other.slice.rank,
                        begins: place.worker == from.worker)))
        }
    }

    /// A worker says what its link can do.
    func probed(_ worker: WorkerID, epoch: UInt32, number: UInt64, _ speed: LinkSpeed) {
        guard let under = measurement, under.epoch == epoch, under.number == number, let pair = under.left.first,
            pair.from.worker == worker
        else { return }
        measurement?.rates.append(LinkRate(from: worker, to: pair.to.worker, speed: speed))
        measurement?.left.removeFirst()
        measureNextLink()
    }

    /// A pair that takes too long ends the measurement.
    func checkMeasurement() {
        guard let under = measurement, let (from, to) = under.left.first, now - under.begun > Self.patience else {
            return
        }
        endMeasurement(
            .unavailable(
                "the link from worker \(from.worker) to worker \(to.worker) was not measured within \(Self.patience.components.seconds) s: steps take long, or the link is slow; measure while the cluster is idle"
            ))
    }

    /// Whoever waits for the links' rates hears that they will not come.
    func endMeasurement(_ problem: Problem) {
        measurement?.continuation.resume(throwing: problem)
        measurement = nil
    }
}
