// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every Swift target: language mode 6 and no warning is let through.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

var dependencies: [Package.Dependency] = [
  .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
  .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
  .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
  .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0", traits: []),
  .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
  .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
  .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
  .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
  .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
  .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
  .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
  .package(
    url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
  .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
  .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
  .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
]
// The documentation plugin is for `make docs` alone; a package that depends on ours never loads it.
if Context.environment["MUNINN_DOCS"] != nil {
  dependencies.append(
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", exact: "1.5.0"))
}

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
  name: "muninn",
  products: [
    .library(name: "Muninn", targets: ["Muninn"]),
    .executable(name: "muninn", targets: ["MuninnCommand"]),
    .executable(name: "muninn-bench", targets: ["MuninnBench"]),
  ],
  dependencies: dependencies,
  targets: [
    .target(
      name: "CMuninn",
      path: "CSupport",
      cSettings: [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra")],
      linkerSettings: [.linkedLibrary("lz4")]),
    .target(
      name: "MuninnFormat", dependencies: ["CMuninn", crypto, cryptoExtras],
      swiftSettings: strict),
    .target(
      name: "CMuninnSystem",
      cSettings: [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra")]),
    .target(
      name: "MuninnDisk", dependencies: ["CMuninnSystem", system], swiftSettings: strict),
    .target(
      name: "MuninnStore",
      dependencies: ["CMuninn", "MuninnFormat", "MuninnDisk", crypto],
      swiftSettings: strict),
    .target(
      name: "MuninnPipeline",
      dependencies: ["CMuninn", "MuninnFormat", "MuninnDisk", "MuninnStore"],
      swiftSettings: strict),
    .target(
      name: "Muninn",
      dependencies: ["MuninnFormat", "MuninnDisk", "MuninnStore", "MuninnPipeline"],
      swiftSettings: strict),
    .target(
      name: "MuninnServer",
      dependencies: [
        "Muninn", "MuninnDisk", crypto, logging,
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "MuninnCommand",
      dependencies: [
        "Muninn", "MuninnDisk", "MuninnServer", argumentParser, logging,
        .product(name: "CoreMetrics", package: "swift-metrics"),
      ],
      path: "Sources/muninn-cli",
      swiftSettings: strict),
    .target(
      name: "CReference",
      path: "Benchmarks/CReference",
      cSettings: [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra")]),
    .executableTarget(
      name: "MuninnBench",
      dependencies: [
        "CMuninn", "CReference", "MuninnFormat", "MuninnDisk", "MuninnStore", "MuninnPipeline",
        "Muninn", argumentParser, crypto,
      ],
      path: "Benchmarks/muninn-bench",
      swiftSettings: strict),
    .target(
      name: "MuninnTestSupport",
      dependencies: ["MuninnDisk", "MuninnFormat"],
      path: "Tests/MuninnTestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "CMuninnTests", dependencies: ["CMuninn", "MuninnTestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "MuninnFormatTests", dependencies: ["MuninnFormat", "MuninnTestSupport", crypto],
      exclude: ["Golden"],
      swiftSettings: strict),
    .testTarget(
      name: "MuninnModelTests", dependencies: ["MuninnTestSupport"], swiftSettings: strict),
    .testTarget(
      name: "MuninnDiskTests", dependencies: ["MuninnDisk", "MuninnTestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "MuninnStoreTests",
      dependencies: ["MuninnStore", "MuninnFormat", "MuninnDisk", "MuninnTestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "MuninnPipelineTests",
      dependencies: [
        "MuninnPipeline", "MuninnStore", "MuninnFormat", "MuninnDisk", "MuninnTestSupport",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "MuninnTests", dependencies: ["Muninn", "MuninnTestSupport"], swiftSettings: strict),
    .testTarget(
      name: "MuninnServerTests",
      dependencies: [
        "MuninnServer", "Muninn", "MuninnTestSupport", logging,
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTesting", package: "hummingbird"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "MuninnCommandTests", dependencies: ["MuninnTestSupport"], swiftSettings: strict),
    .testTarget(name: "TidyTests", dependencies: ["MuninnTestSupport"], swiftSettings: strict),
  ]
)

// Tests/sanitize.sh and Tests/flips.sh: the engine and its tests, compiled with other options, and
// nothing above it. The packages that we depend on stay as they are: they are built once for all.
if let text = Context.environment["MUNINN_ENGINE_OPTIONS"] {
  let options = text.split(separator: " ").map(String.init)
  let engine: Set = [
    "CMuninn", "CMuninnSystem", "MuninnFormat", "MuninnDisk", "MuninnStore", "MuninnPipeline",
    "MuninnTestSupport", "MuninnDiskTests", "MuninnStoreTests", "MuninnPipelineTests",
  ]
  package.products = []
  package.targets.removeAll { !engine.contains($0.name) }
  let sanitizers = options.filter { $0.hasPrefix("-sanitize=") }
  for target in package.targets {
    target.cSettings =
      (target.cSettings ?? []) + [.unsafeFlags(sanitizers.map { "-f" + $0.dropFirst() } + ["-O2"])]
    target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(options)]
    target.linkerSettings = (target.linkerSettings ?? []) + [.unsafeFlags(sanitizers)]
  }
}
