import Muninn
import MuninnDisk

/// One generation in one repository.
struct GenerationPoint: Encodable {
  let repository: String
  let generation: Int
  let contentBytes: UInt64
  let bytesNew: UInt64
  let bytesRewritten: UInt64
  /// Of the repository's containers, all together.
  let repositoryBytes: UInt64
  let containers: UInt64
  let speedFactor: Double
  let readAmplification: Double
  let bytesRead: UInt64
  /// Seconds for a GiB of content, each run.
  let cold: [Double]
  let warm: [Double]

  var cells: [String] {
    [
      repository, String(generation), Figure.fixed(Double(contentBytes) / 1_048_576, 0),
      Figure.fixed(Double(bytesNew) / 1_048_576, 1),
      Figure.fixed(Double(bytesRewritten) / 1_048_576, 1),
      Figure.fixed(Double(repositoryBytes) / 1_048_576, 0), String(containers),
      Figure.fixed(speedFactor, 1), Figure.fixed(readAmplification, 3),
      Figure.fixed(Double(bytesRead) / 1_048_576, 0),
      cold.isEmpty ? "" : Figure.fixed(Measurement.median(of: cold), 2),
      warm.isEmpty ? "" : Figure.fixed(Measurement.median(of: warm), 2),
    ]
  }

  static let titles = [
    "repository", "generation", "content MiB", "new MiB", "rewritten MiB", "stored MiB",
    "containers", "speed factor", "read amplification", "read MiB", "cold s/GiB", "warm s/GiB",
  ]

  var line: String {
    zip(GenerationPoint.titles, cells).map { $0 == "repository" ? $1 : "\($0) \($1)" }
      .joined(separator: ", ")
  }
}

/// A tree that changes, backed up into two repositories.
struct GenerationsMeasurement {
  let source: any ChangingTree
  let scratch: Scratch
  let targets: Scratch
  let threads: Int
  let runs: Int
  let rewriteLimit: Double

  private struct Place {
    let name: String
    let path: String
    let limit: Double
    let repository: Repository
  }

  private var places: [Place] = []
  private var generation = 0
  private(set) var points: [GenerationPoint] = []

  init(
    source: any ChangingTree, scratch: Scratch, targets: Scratch, threads: Int, runs: Int,
    rewriteLimit: Double
  ) {
    self.source = source
    self.scratch = scratch
    self.targets = targets
    self.threads = threads
    self.runs = runs
    self.rewriteLimit = rewriteLimit
  }

  mutating func prepare() async throws {
    for (name, limit) in [("as it comes", 0), ("rewriting", rewriteLimit)] {
      let path = scratch.file("repository-\(places.count)")
      let repository = try await Repository.create(
        at: path, open: OpenOptions(stateDirectory: scratch.file("state")))
      places.append(Place(name: name, path: path, limit: limit, repository: repository))
    }
  }

  /// Makes and backs up a generation; restores it where that is asked for.
  mutating func next(isMeasured: Bool) async throws -> [GenerationPoint] {
    try source.advance()
    generation += 1
    var new: [GenerationPoint] = []
    let expected = isMeasured ? try ContentHash.of(source.path, threads: threads) : ""
    for place in places {
      var request = BackupRequest(paths: [source.path])
      request.threads = threads
      request.rewriteLimitPercent = place.limit
      let report = try await place.repository.backup(request)
      guard report.isComplete else { throw BenchError("a backup was not complete") }
      guard isMeasured else { continue }
      new.append(
        try await point(
          place, place.name, bytesNew: report.snapshot.statistics.bytesNew,
          bytesRewritten: report.bytesRewritten, expected))
    }
    points += new
    return new
  }

  private func point(
    _ place: Place, _ name: String, bytesNew: UInt64, bytesRewritten: UInt64, _ expected: String
  ) async throws -> GenerationPoint {
    let layout = try await place.repository.fragmentation()
    let stored = try await place.repository.statistics().containerBytes
    var cold: [Double] = []
    var warm: [Double] = []
    for run in 0..<runs {
      PageCache.drop(try SourceFiles.list(place.path).map(\.path))
      cold.append(try await restore(place, run == 0 ? expected : nil))
      warm.append(try await restore(place, nil))
    }
    return GenerationPoint(
      repository: name, generation: generation, contentBytes: layout.contentBytes,
      bytesNew: bytesNew, bytesRewritten: bytesRewritten, repositoryBytes: stored,
      containers: layout.containers, speedFactor: layout.speedFactor,
      readAmplification: layout.readAmplification, bytesRead: layout.plan?.bytesRead ?? 0,
      cold: cold, warm: warm)
  }

  /// Seconds for a GiB of content; holds the restored tree against what it should be.
  private func restore(_ place: Place, _ expected: String?) async throws -> Double {
    let target = targets.file("restored")
    defer { Scratch.remove(target) }
    var request = RestoreRequest(snapshot: .latest(), target: target)
    request.threads = threads
    let start = Machine.monotonicNanoseconds()
    let report = try await place.repository.restore(request)
    let seconds = Double(Machine.monotonicNanoseconds() - start) / 1e9
    if let problem = report.problems.first {
      throw BenchError("\(problem.path) was not restored: \(problem.message)")
    }
    if let expected {
      let restored = try ContentHash.of(target, threads: threads)
      guard restored == expected else {
        throw BenchError("the restored tree is \(restored), the source was \(expected)")
      }
    }
    return seconds / max(Double(report.bytes) / 1_073_741_824, 1e-9)
  }

  /// Defragments both repositories and measures them once more.
  mutating func defragment() async throws -> [GenerationPoint] {
    let expected = try ContentHash.of(source.path, threads: threads)
    var new: [GenerationPoint] = []
    for place in places {
      var options = DefragmentOptions()
      options.threads = threads
      let report = try await place.repository.defragment(options)
      new.append(
        try await point(
          place, "\(place.name), defrag", bytesNew: 0, bytesRewritten: report.bytesRewritten,
          expected))
    }
    points += new
    return new
  }

  var table: String {
    var table = TextTable(GenerationPoint.titles)
    for point in points { table.add(point.cells) }
    return table.text
  }

  /// Seconds for a GiB over generations.
  func plot(_ title: String) -> Plot {
    var plot = Plot(title: title)
    plot.axes = "restore, seconds for a GiB, over generations"
    plot.decimals = 2
    for name in places.map(\.name) {
      let own = points.filter { $0.repository == name }
      for (kind, values) in [("cold", own.map(\.cold)), ("warm", own.map(\.warm))] {
        plot.lines.append(
          Plot.Line(
            name: "\(name), \(kind)",
            points: zip(own, values).map {
              (Double($0.generation), Measurement.median(of: $1))
            }))
      }
    }
    for point in points where point.generation == 1 || point.generation == generation {
      plot.bars.append(
        Plot.Bar(
          name: "\(point.repository), generation \(point.generation)",
          value: point.readAmplification, unit: "read amplification"))
    }
    return plot
  }
}
