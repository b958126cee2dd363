import Testing

@Suite("House plan")
struct DoorsTests {
    @Test("every folder of Sources is a room of the plan")
    func everyRoomIsPlanned() throws {
        let planned = Set(Plan.rooms.keys).union(Plan.cTargets)
        for folder in try House.folders() {
            #expect(planned.contains(folder), "Sources/\(folder) is not on the plan")
        }
    }

    @Test("rooms import only through their doors", arguments: Plan.rooms.keys.sorted())
    func doorsHold(room: String) throws {
        let plan = try #require(Plan.rooms[room])
        let allowed = plan.rooms.union(plan.packages).union(plan.toolchain)
        for file in try House.files(of: room) {
            for module in file.imports {
                #expect(allowed.contains(module), "\(room)/\(file.name) imports \(module)")
            }
        }
    }

    @Test("every door is used", arguments: Plan.rooms.keys.sorted())
    func doorsAreUsed(room: String) throws {
        let plan = try #require(Plan.rooms[room])
        let imports = Set(try House.files(of: room).flatMap(\.imports))
        #expect(plan.rooms.union(plan.packages).subtracting(imports).isEmpty, "\(room) does not need all its doors")
    }

    @Test("Package.swift declares the doors of the plan")
    func packageAgrees() throws {
        let package = try House.lines(of: "\(House.top)/Package.swift").joined(separator: "\n")
        var declared: [String: Set<String>] = [:]
        for match in package.matches(of: /room\(\s*"(\w+)"(?:,\s*\[([^\]]*)\])?/) {
            declared[String(match.1)] = names(in: match.2 ?? "")
        }
        let roof = try #require(package.firstMatch(of: /name: "glm",\s*dependencies: \[([^\.]*)/))
        declared["glm"] = names(in: roof.1)
        for (name, room) in Plan.rooms { #expect(declared[name] == room.rooms, "\(name)") }
    }

    /// The quoted words of a list in Swift.
    private func names(in list: Substring) -> Set<String> {
        Set(list.matches(of: /"(\w+)"/).map { String($0.1) })
    }

    @Test("doors open downwards only")
    func doorsOpenDownwards() {
        var settled = Plan.cTargets
        var waiting = Plan.rooms
        while let next = waiting.keys.sorted().first(where: { waiting[$0]?.rooms.isSubset(of: settled) == true }) {
            settled.insert(next)
            waiting[next] = nil
        }
        #expect(waiting.isEmpty, "rooms in a circle: \(waiting.keys.sorted())")
    }

    @Test("an outside library has one room", arguments: Plan.soleUsers.keys.sorted())
    func librariesHaveOneRoom(module: String) throws {
        let users = try #require(Plan.soleUsers[module])
        for (name, room) in Plan.rooms where room.rooms.union(room.packages).contains(module) {
            #expect(users.contains(name), "\(name) may import \(module)")
        }
    }
}
