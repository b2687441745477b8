/// How far an operation was at a moment.
struct TimelinePoint: Encodable {
  let seconds: Double
  let bytes: UInt64
}

/// What one operation of the engine took.
struct OperationRun: Encodable {
  let seconds: Double
  /// Of all threads of the process.
  let processorSeconds: Double
  /// Cores that other programs and the kernel's own threads held meanwhile, on average.
  let otherCores: Double
  let peakResidentBytes: UInt64
  let timeline: [TimelinePoint]
}

/// The repetitions of one operation, and what they did, which is the same in each.
struct OperationResult: Encodable {
  let name: String
  var runs: [OperationRun] = []
  var entries: UInt64 = 0
  /// Content bytes of the tree.
  var bytes: UInt64 = 0
  /// The same without holes.
  var dataBytes: UInt64 = 0
  /// Content bytes that were read, that were new, and bytes that the repository grew by.
  var bytesRead: UInt64 = 0
  var bytesNew: UInt64 = 0
  var bytesStored: UInt64 = 0
  /// Extents of all files, where they were counted.
  var extents: UInt64?
  var files: UInt64 = 0
  /// Of names and contents: of the source for a backup, of the target for a restore.
  var resultHash = ""
  var breakdown: Breakdown?

  init(_ name: String) { self.name = name }

  var wall: Measurement {
    Measurement(name: name, unit: "s", values: runs.map(\.seconds), resultHash: resultHash)
  }

  var processorSeconds: Double { Measurement.median(of: runs.map(\.processorSeconds)) }
  var peakResidentBytes: UInt64 { runs.map(\.peakResidentBytes).max() ?? 0 }
  var otherCores: Double { Measurement.median(of: runs.map(\.otherCores)) }

  var megabytesPerSecond: Double { Double(dataBytes) / 1e6 / max(wall.median, 1e-9) }

  static func table(_ results: [OperationResult]) -> String {
    var table = TextTable([
      "operation", "seconds", "spread", "MB/s", "entries/s", "processor s", "peak RSS MiB",
      "other programs' cores", "result",
    ])
    for result in results {
      table.add([
        result.name, Figure.fixed(result.wall.median, 3), Figure.percent(result.wall.spread),
        Figure.fixed(result.megabytesPerSecond, 0),
        Figure.fixed(Double(result.entries) / max(result.wall.median, 1e-9), 0),
        Figure.fixed(result.processorSeconds, 2),
        Figure.fixed(Double(result.peakResidentBytes) / 1_048_576, 0),
        Figure.fixed(result.otherCores, 2), result.resultHash,
      ])
    }
    return table.text
  }
}
