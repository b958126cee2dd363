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
    _ name: String, _ doors: [String] = [], packages: [Target.Dependency] = [], settings: [SwiftSetting] = house
) -> Target {
    .target(name: name, dependencies: doors.map { .byName(name: $0) } + packages, swiftSettings: settings)
}

/// The tests of one room; `doors` are what the tests import besides.
func tests(_ name: String, _ doors: [String], packages: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name, dependencies: doors.map { .byName(name: $0) } + packages, path: "Tests/\(name)",
        swiftSettings: house)
}

let package = Package(
    name: "glm",
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0")
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
        room("KVCache", ["Core", "Threads", "CSodium", "CXXHash"]),
        // model
        room("Tokenization", ["Core", "Checkpoint"]),
        room("GLM", ["Core", "Kernels", "Threads", "Checkpoint", "KVCache"]),
        // thinking
        room("Cluster", ["Core"]),
        room("Scheduler", ["Core"]),
        room("Router", ["Core"], packages: [.product(name: "HeapModule", package: "swift-collections")]),
        // roles
        room("Worker", ["Core", "Kernels", "Threads", "GLM", "Checkpoint", "KVCache", "Wire", "Transport"]),
        room(
            "Coordinator",
            [
                "Core", "Threads", "Cluster", "Scheduler", "Router", "Checkpoint", "GLM", "KVCache", "Tokenization",
                "Wire", "Transport",
            ]),
        // tests
        tests("GLMTests", ["Core", "Kernels", "Checkpoint", "GLM"]),
        tests("WireTests", ["Core", "Wire"]),
        tests("SchedulerTests", ["Core", "Scheduler"]),
        tests("KVCacheTests", ["Core", "Threads", "KVCache"]),
        tests("RouterTests", ["Core", "Router", "KVCache"]),
        tests(
            "CoordinatorTests",
            ["Core", "Threads", "Checkpoint", "GLM", "Tokenization", "Transport", "Wire", "Worker", "Coordinator"]),
    ]
)
