/// The house plan: what each room may import. `Package.swift` declares the same doors; SwiftPM lets an undeclared
/// import through when another room has built the module already, so `DoorsTests` reads the sources.
enum Plan {
    /// One room and its doors.
    struct Room {
        /// Rooms and C targets below.
        var rooms: Set<String>
        /// Modules of outside packages.
        var packages: Set<String> = []
        /// Modules of the toolchain.
        var toolchain: Set<String> = []
    }

    private static let json: Set<String> = ["FoundationEssentials", "Glibc", "Synchronization"]
    private static let system: Set<String> = ["Glibc", "Synchronization"]

    /// Every Swift room. Thinking rooms import nothing but `Core`: no clock, no file, no socket, no lock.
    static let rooms: [String: Room] = [
        // ground
        "Core": Room(rooms: []),
        "Threads": Room(rooms: ["CLinux"], toolchain: system),
        "KernelsV4": Room(rooms: ["Core", "CLinux"], toolchain: ["_Builtin_intrinsics"]),
        "Kernels": Room(rooms: ["Core", "CLinux", "KernelsV4"], toolchain: ["Glibc", "_Builtin_intrinsics"]),
        // matter
        "Wire": Room(rooms: ["Core", "CWire", "CProtobufC"], toolchain: ["Glibc"]),
        "Transport": Room(rooms: ["Core", "Threads", "CZeroMQ", "CLinux"], toolchain: system),
        "Checkpoint": Room(rooms: ["Core", "CSodium"], toolchain: json),
        "KVCache": Room(rooms: ["Core", "Threads", "CLinux", "CSodium", "CXXHash"], toolchain: system),
        // model
        "Tokenization": Room(rooms: ["Core", "Checkpoint"], toolchain: json),
        "GLM": Room(rooms: ["Core", "Kernels", "Threads", "Checkpoint", "KVCache"], toolchain: json),
        // thinking
        "Cluster": Room(rooms: ["Core"]),
        "Scheduler": Room(rooms: ["Core"]),
        "Grammar": Room(rooms: ["Core"]),
        "Router": Room(rooms: ["Core"], packages: ["HeapModule"]),
        // services
        "Telemetry": Room(rooms: [], packages: ["CoreMetrics", "Logging"], toolchain: system),
        "JobStore": Room(
            rooms: ["Core", "Threads", "Wire", "CSodium"], packages: ["GRDB"], toolchain: json),
        // roles
        "Worker": Room(
            rooms: ["Core", "Kernels", "Threads", "GLM", "Checkpoint", "KVCache", "Wire", "Transport"],
            toolchain: json),
        "Coordinator": Room(
            rooms: [
                "Core", "Threads", "Cluster", "Scheduler", "Router", "Grammar", "Checkpoint", "GLM", "KVCache",
                "Tokenization", "Wire", "Transport", "JobStore",
            ],
            toolchain: json),
        "Gateway": Room(
            rooms: ["Core", "Grammar", "Tokenization", "Wire", "Transport", "Telemetry", "CSodium"],
            packages: [
                "Hummingbird", "HummingbirdCore", "HTTPTypes", "NIOCore", "NIOPosix", "ServiceLifecycle", "UnixSignals",
                "Logging",
            ],
            toolchain: json),
        // roof
        "glm": Room(
            rooms: [
                "Core", "Kernels", "Threads", "Checkpoint", "KVCache", "Tokenization", "GLM", "Cluster", "Transport",
                "Telemetry", "JobStore",
                "Worker", "Coordinator", "Gateway", "CLinux",
            ],
            packages: ["ArgumentParser", "NIOCore", "NIOPosix", "NIOHTTP1", "TOMLKit", "Yams"],
            toolchain: json.union(["Dispatch"])),
    ]

    /// C targets: generated code, system libraries and our few Linux calls.
    static let cTargets: Set<String> = ["CLinux", "CWire", "CZeroMQ", "CProtobufC", "CSodium", "CXXHash"]

    /// Modules that reach the outside world, and the only rooms that may: changing a library touches one folder.
    static let soleUsers: [String: Set<String>] = [
        "ArgumentParser": ["glm"],
        "TOMLKit": ["glm"],
        "Yams": ["glm"],
        "NIOPosix": ["glm", "Gateway"],
        "NIOHTTP1": ["glm"],
        "Hummingbird": ["Gateway"],
        "ServiceLifecycle": ["Gateway"],
        "Logging": ["Telemetry", "Gateway"],
        "CoreMetrics": ["Telemetry"],
        "HeapModule": ["Router"],
        "GRDB": ["JobStore"],
        "CXXHash": ["KVCache"],
        "CZeroMQ": ["Transport"],
        "CProtobufC": ["Wire"],
        "CWire": ["Wire"],
    ]

    /// Folders that may say "I know better than the compiler" about shared memory, each time with the reason beside it.
    static let mayVouchForSharing = [
        "Threads/", "Transport/", "Checkpoint/", "KVCache/", "Kernels/", "GLM/", "glm/Bench/",
    ]

    /// The longest a file may be before it wants to be two.
    static let longestFile = 600
}
