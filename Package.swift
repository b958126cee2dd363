// swift-tools-version: 6.2
import PackageDescription

/// Every Swift room is built the same way; only the arithmetic rooms add to it.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

#if arch(x86_64)
    let v3: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=x86-64-v3"])]
    let v4: [SwiftSetting] = [
        .unsafeFlags(["-Xcc", "-march=x86-64-v4", "-Xcc", "-mavx512vnni"]), .define("AVX512"),
    ]
#else
    let v3: [SwiftSetting] = []
    let v4: [SwiftSetting] = []
#endif

/// Arithmetic for one instruction set, without overflow or exclusivity checks; optimised in debug builds too, or tests crawl.
func arithmetic(_ instructions: [SwiftSetting]) -> [SwiftSetting] {
    house + instructions + [
        .unsafeFlags(["-Ounchecked", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
        .unsafeFlags(["-O"], .when(configuration: .debug)),
    ]
}

/// A room of the house: a target whose doors (imports) open downwards only. `Tests/HouseTests` holds the same table.
func room(
    _ name: String, _ doors: [String] = [], packages: [Target.Dependency] = [], resources: [Resource] = [],
    settings: [SwiftSetting] = house
) -> Target {
    .target(
        name: name, dependencies: doors.map { .byName(name: $0) } + packages,
        resources: resources.isEmpty ? nil : resources, swiftSettings: settings)
}

/// The dashboard, which the gateway carries in itself: there is nothing to install beside it.
let pages: [Resource] = [
    "index.html", "dashboard.css", "main.js", "api.js", "topology.js", "kvmap.js", "charts.js", "jobs.js", "chat.js",
].map { .embedInCode("Dashboard/Page/\($0)") }

/// The tests of one room; `doors` are what the tests import besides.
func tests(_ name: String, _ doors: [String], packages: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name, dependencies: doors.map { .byName(name: $0) } + packages, path: "Tests/\(name)",
        swiftSettings: house)
}

let package = Package(
    name: "glm",
    products: [.executable(name: "glm", targets: ["glm"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.9.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // C
        .target(name: "CLinux"),
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CProtobufC", providers: [.apt(["libprotobuf-c-dev"])]),
        .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CXXHash", providers: [.apt(["libxxhash-dev"])]),
        .target(name: "CWire", dependencies: ["CProtobufC"]),
        // ground
        room("Core"),
        room("Threads", ["CLinux"]),
        room("KernelsV4", ["Core", "CLinux"], settings: arithmetic(v4)),
        room("Kernels", ["Core", "CLinux", "KernelsV4"], settings: arithmetic(v3)),
        // matter
        room("Wire", ["Core", "CWire", "CProtobufC"]),
        room("Transport", ["Core", "Threads", "CZeroMQ", "CLinux"]),
        room("Checkpoint", ["Core", "CSodium"]),
        room("KVCache", ["Core", "Threads", "CLinux", "CSodium", "CXXHash"]),
        // model
        room("Tokenization", ["Core", "Checkpoint"]),
        room("GLM", ["Core", "Kernels", "Threads", "Checkpoint", "KVCache"]),
        // thinking
        room("Cluster", ["Core"]),
        room("Scheduler", ["Core"]),
        room("Grammar", ["Core"]),
        room("Router", ["Core"], packages: [.product(name: "HeapModule", package: "swift-collections")]),
        // services
        room(
            "Telemetry",
            packages: [
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        room(
            "JobStore", ["Core", "Threads", "Wire", "CSodium"],
            packages: [.product(name: "GRDB", package: "GRDB.swift")]),
        // roles
        room("Worker", ["Core", "Kernels", "Threads", "GLM", "Checkpoint", "KVCache", "Wire", "Transport"]),
        room(
            "Coordinator",
            [
                "Core", "Threads", "Cluster", "Scheduler", "Router", "Grammar", "Checkpoint", "GLM", "KVCache",
                "Tokenization", "Wire", "Transport", "JobStore",
            ]),
        room(
            "Gateway", ["Core", "Grammar", "Tokenization", "Wire", "Transport", "Telemetry", "CSodium"],
            packages: [.product(name: "Hummingbird", package: "hummingbird")], resources: pages),
        // roof
        .executableTarget(
            name: "glm",
            dependencies: [
                "Core", "Kernels", "Threads", "Checkpoint", "KVCache", "Tokenization", "GLM", "Cluster", "Transport",
                "Telemetry", "JobStore",
                "Worker", "Coordinator", "Gateway", "CLinux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "TOMLKit", package: "TOMLKit"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: house),
        // tests
        tests("KernelsTests", ["Kernels", "Core"]),
        tests("GLMTests", ["Core", "Kernels", "Checkpoint", "GLM"]),
        tests("HouseTests", []),
        tests("ProcessTests", ["glm", "CZeroMQ", "CLinux"]),
        tests("CommandTests", ["Core", "glm"]),
        tests("ThreadsTests", ["Threads"]),
        tests(
            "TelemetryTests", ["Telemetry"],
            packages: [
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("TransportTests", ["Core", "Threads", "Transport"]),
        tests("WireTests", ["Core", "Wire"]),
        tests("GatewayTests", ["Core", "Tokenization", "Telemetry", "Gateway", "CSodium"]),
        tests("ClusterTests", ["Core", "Cluster"]),
        tests("SchedulerTests", ["Core", "Scheduler"]),
        tests("GrammarTests", ["Core", "Grammar"]),
        tests("KVCacheTests", ["Core", "Threads", "KVCache"]),
        tests("JobStoreTests", ["Core", "JobStore"], packages: [.product(name: "GRDB", package: "GRDB.swift")]),
        tests("RouterTests", ["Core", "Router", "KVCache"]),
        tests("TokenizationTests", ["Core", "Tokenization"]),
        tests("CheckpointTests", ["Core", "Kernels", "Checkpoint", "GLM"]),
        tests(
            "CoordinatorTests",
            ["Core", "Threads", "Checkpoint", "GLM", "Tokenization", "Transport", "Wire", "Worker", "Coordinator"]),
    ]
)
