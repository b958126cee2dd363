import Core

/// A reader of Prometheus' text format that forgives nothing: what it accepts, every scraper accepts.
struct StrictExposition {
    /// One line that is no comment.
    struct Sample {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    /// The families' types by name.
    private(set) var types: [String: String] = [:]
    /// Every sample, in order.
    private(set) var samples: [Sample] = []

    /// Reads a text, or says which line breaks which rule.
    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Problem.invalid("the last line has no end") }
        var helped: Set<String> = []
        var current = ""
        var seen: Set<String> = []
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            func fail(_ why: String) -> Problem { .invalid("\(why): \(line)") }
            if line.hasPrefix("# HELP ") {
                let words = line.split(separator: " ", maxSplits: 3)
                guard words.count == 4, helped.insert(String(words[2])).inserted else {
                    throw fail("second HELP, or none")
                }
                current = String(words[2])
                continue
            }
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                guard words.count == 4, words[2] == current, types[current] == nil,
                    ["counter", "gauge", "histogram"].contains(words[3])
                else { throw fail("TYPE that does not follow its HELP") }
                types[current] = String(words[3])
                continue
            }
            let sample = try Self.sample(line)
            guard let type = types[current] else { throw fail("a sample without a TYPE") }
            let allowed = type == "histogram" ? ["_bucket", "_sum", "_count"].map { current + $0 } : [current]
            guard allowed.contains(sample.name) else { throw fail("a sample outside of its family") }
            guard type != "counter" || (current.hasSuffix("_total") && sample.value >= 0) else {
                throw fail("a counter without _total, or below 0")
            }
            let key =
                sample.name + sample.labels.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: ",")
            guard seen.insert(key).inserted else { throw fail("a series for the second time") }
            samples.append(sample)
        }
        try checkHistograms()
    }

    /// The value of a series without labels, or with exactly these.
    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }

    /// Bounds ascend, counts do not fall, and the last bucket holds everything.
    private func checkHistograms() throws {
        for (name, type) in types where type == "histogram" {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let groups = Dictionary(grouping: buckets) { bucket in bucket.labels.filter { $0.key != "le" } }
            for (labels, group) in groups {
                let bounds = group.map { $0.labels["le"] == "+Inf" ? .infinity : Double($0.labels["le"] ?? "") ?? .nan }
                guard zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 }), bounds.last == .infinity,
                    zip(group, group.dropFirst()).allSatisfy({ $0.value <= $1.value }),
                    value(name + "_count", labels) == group.last?.value, value(name + "_sum", labels) != nil
                else { throw Problem.invalid("histogram \(name) \(labels) does not add up") }
            }
        }
    }

    private static func sample(_ line: Substring) throws -> Sample {
        var rest = line
        func fail() -> Problem { .invalid("no sample: \(line)") }
        let name = String(rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        guard let first = name.first, !first.isNumber else { throw fail() }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest.removeFirst()
            while rest.first != "}" {
                let key = String(rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
                rest = rest.dropFirst(key.count)
                guard !key.isEmpty, rest.hasPrefix("=\""), labels[key] == nil else { throw fail() }
                rest = rest.dropFirst(2)
                var value = ""
                while let character = rest.popFirst(), character != "\"" {
                    guard character == "\\" else {
                        value.append(character)
                        continue
                    }
                    guard let escaped = rest.popFirst(), let plain = ["\\": "\\", "n": "\n", "\"": "\""][escaped] else {
                        throw fail()
                    }
                    value += plain
                }
                labels[key] = value
                if rest.first == "," { rest.removeFirst() } else if rest.first != "}" { throw fail() }
            }
            rest.removeFirst()
        }
        guard rest.popFirst() == " " else { throw fail() }
        let number = ["+Inf": Double.infinity, "-Inf": -.infinity, "NaN": .nan][String(rest)] ?? Double(rest)
        guard let number, !rest.contains(" ") else { throw fail() }
        return Sample(name: name, labels: labels, value: number)
    }
}
