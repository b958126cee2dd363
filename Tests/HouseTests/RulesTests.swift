import Testing

@Suite("House rules")
struct RulesTests {
    /// The lines of `room` whose code holds one of `words`, as `room/file:line`.
    private func places(of words: [String], in room: String) throws -> [String] {
        try House.files(of: room).flatMap { file in
            words.flatMap { file.linesOfCode(holding: $0) }.map { "\(room)/\(file.name):\($0)" }
        }
    }

    @Test("no file is longer than its subject", arguments: Plan.rooms.keys.sorted())
    func filesAreShort(room: String) throws {
        for file in try House.files(of: room) {
            #expect(file.lines.count <= Plan.longestFile, "\(room)/\(file.name) has \(file.lines.count) lines")
        }
    }

    @Test("nothing crashes on purpose", arguments: Plan.rooms.keys.sorted())
    func nothingCrashesOnPurpose(room: String) throws {
        let crashes = try places(of: ["fatalError(", "try! ", " as! "], in: room)
        #expect(crashes.isEmpty, "\(crashes)")
    }

    @Test("nothing is left for later", arguments: Plan.rooms.keys.sorted())
    func nothingIsLeftForLater(room: String) throws {
        for file in try House.files(of: room) {
            for (number, line) in file.lines.enumerated() {
                for word in ["TODO", "FIXME"] where line.place(of: word) != nil {
                    Issue.record("\(room)/\(file.name):\(number + 1) says \(word)")
                }
            }
        }
    }

    @Test("only rooms that own memory or threads vouch for sharing", arguments: Plan.rooms.keys.sorted())
    func sharingIsVouchedForInFewPlaces(room: String) throws {
        let vows = try places(of: ["@unchecked Sendable", "nonisolated(unsafe)"], in: room)
        for vow in vows {
            #expect(Plan.mayVouchForSharing.contains { vow.hasPrefix($0) }, "\(vow)")
        }
    }

    @Test("kernels stay behind their border: nothing of them is inlined into code for older processors")
    func kernelsAreNotInlinable() throws {
        for room in ["Kernels", "KernelsV4"] {
            #expect(try places(of: ["@inlinable", "@usableFromInline", "@_alwaysEmitIntoClient"], in: room) == [])
        }
    }

    @Test(
        "thinking rooms read no clock and no environment",
        arguments: ["Core", "Cluster", "Scheduler", "Router", "Grammar"])
    func thinkingRoomsArePure(room: String) throws {
        let outside = [
            "ContinuousClock", "SuspendingClock", "Date()", "clock_gettime", "getenv", "Task.sleep", "print(",
        ]
        #expect(try places(of: outside, in: room) == [])
    }

    @Test("only the command prints", arguments: Plan.rooms.keys.filter { $0 != "glm" }.sorted())
    func roomsDoNotPrint(room: String) throws {
        let printing = try places(of: [" print("], in: room)
        #expect(printing.isEmpty, "\(printing)")
    }
}
