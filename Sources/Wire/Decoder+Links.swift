import CWire
import Core

/// Orders to measure links, and what came of them.
extension Decoder {
    func probe(_ probe: Wire__Probe) throws -> Probe {
        Probe(
            epoch: probe.epoch, number: probe.number, stage: try small(probe.stage), rank: try small(probe.rank),
            begins: probe.begins != 0)
    }

    func linkRates(_ list: Wire__LinkRates) throws -> [LinkRate] {
        var rates: [LinkRate] = []
        for i in 0..<list.n_links {
            let rate = try the(list.links[i])
            rates.append(
                LinkRate(
                    from: WorkerID(try name(rate.from)), to: WorkerID(try name(rate.to)),
                    speed: try linkSpeed(the(rate.speed))))
        }
        return rates
    }

    func linkSpeed(_ speed: Wire__LinkSpeed) throws -> LinkSpeed {
        LinkSpeed(
            way: try ours(speed.way, in: LinkWay.wire, what: "way of a link"),
            roundTripNanoseconds: try count(speed.round_trip_nanoseconds),
            rowRoundTripNanoseconds: try count(speed.row_round_trip_nanoseconds),
            bytesPerSecond: try count(speed.bytes_per_second))
    }
}
