import CWire
import Core

/// Orders to measure links, and what came of them.
extension Encoder {
    mutating func probe(_ probe: Probe) -> UnsafeMutablePointer<Wire__Probe> {
        let made = arena.new(wire__probe__init)
        made.pointee.epoch = probe.epoch
        made.pointee.number = probe.number
        made.pointee.stage = UInt32(clamping: probe.stage)
        made.pointee.rank = UInt32(clamping: probe.rank)
        made.pointee.begins = probe.begins ? 1 : 0
        return made
    }

    mutating func probed(_ epoch: UInt32, _ number: UInt64, _ speed: LinkSpeed) -> UnsafeMutablePointer<Wire__Probed> {
        let made = arena.new(wire__probed__init)
        made.pointee.epoch = epoch
        made.pointee.number = number
        made.pointee.speed = linkSpeed(speed)
        return made
    }

    mutating func linkRates(_ rates: [LinkRate]) -> UnsafeMutablePointer<Wire__LinkRates> {
        let made = arena.new(wire__link_rates__init)
        made.pointee.n_links = rates.count
        made.pointee.links = arena.place(rates.map { linkRate($0) })
        return made
    }

    private mutating func linkRate(_ rate: LinkRate) -> UnsafeMutablePointer<Wire__LinkRate>? {
        let made = arena.new(wire__link_rate__init)
        made.pointee.from = arena.place(text: rate.from.name)
        made.pointee.to = arena.place(text: rate.to.name)
        made.pointee.speed = linkSpeed(rate.speed)
        return made
    }

    private mutating func linkSpeed(_ speed: LinkSpeed) -> UnsafeMutablePointer<Wire__LinkSpeed> {
        let made = arena.new(wire__link_speed__init)
        made.pointee.way = wireValue(speed.way, in: LinkWay.wire, unspecified: WIRE__LINK_WAY__LINK_WAY_UNSPECIFIED)
        made.pointee.round_trip_nanoseconds = UInt64(clamping: speed.roundTripNanoseconds)
        made.pointee.row_round_trip_nanoseconds = UInt64(clamping: speed.rowRoundTripNanoseconds)
        made.pointee.bytes_per_second = UInt64(clamping: speed.bytesPerSecond)
        return made
    }
}
