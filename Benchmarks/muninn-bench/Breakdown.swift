/// One primitive's part in an operation: what it would take alone, on all threads.
struct StageShare: Encodable {
  let name: String
  let amount: Double
  /// "GB" or "entries".
  let unit: String
  /// On the clock on the wall, with whatever else the machine did.
  let wallSeconds: Double
  /// If every thread had a core to itself.
  let processorSeconds: Double
  /// Waits for a disk, so that it can go on while the processor works.
  let isDisk: Bool

  /// `amount` bytes through a primitive that was measured in GB/s, or entries in entries/s.
  init(_ measured: Measurement, amount: UInt64, isDisk: Bool = false) {
    let isBytes = measured.unit == "GB/s"
    name = measured.name
    self.amount = isBytes ? Double(amount) / 1e9 : Double(amount)
    unit = isBytes ? "GB" : "entries"
    wallSeconds = self.amount / max(measured.median, 1e-9)
    processorSeconds = self.amount / max(measured.processorMedian, 1e-9)
    self.isDisk = isDisk
  }
}

/// What an operation is bounded by, and what holds it back.
///
/// The bound: all threads share the processor's work, and each disk works beside them. The rest of
/// an operation's time is its own processor work, and waiting.
struct Breakdown: Encodable {
  let stages: [StageShare]
  let threads: Int
  let seconds: Double
  /// Processor seconds of the operation, over the threads.
  let processorShare: Double

  init(_ result: OperationResult, threads: Int, stages: [StageShare]) {
    self.stages = stages
    self.threads = threads
    seconds = result.wall.median
    processorShare = result.processorSeconds / Double(threads)
  }

  /// The processor's work of the primitives, if every thread had a core to itself.
  var processorSeconds: Double { stages.reduce(0) { $0 + $1.processorSeconds } }

  var bound: (seconds: Double, by: String) {
    // Of a disk's stage the processor's part is the copy into the page cache.
    let processor = stages.reduce(0) { $0 + ($1.isDisk ? $1.processorSeconds : $1.wallSeconds) }
    let bounds =
      [("the processor", processor)] + stages.filter(\.isDisk).map { ($0.name, $0.wallSeconds) }
    let bound = bounds.max { $0.1 < $1.1 } ?? ("the processor", processor)
    return (bound.1, bound.0)
  }

  var achieved: Double { bound.seconds / max(seconds, 1e-9) }

  /// The same of the processor's time, which other programs do not disturb.
  var processorAchieved: Double { processorSeconds / max(processorShare, 1e-9) }

  private enum CodingKeys: String, CodingKey {
    case stages, threads, boundSeconds, boundBy, achieved, processorAchieved
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(stages, forKey: .stages)
    try container.encode(threads, forKey: .threads)
    try container.encode(bound.seconds, forKey: .boundSeconds)
    try container.encode(bound.by, forKey: .boundBy)
    try container.encode(achieved, forKey: .achieved)
    try container.encode(processorAchieved, forKey: .processorAchieved)
  }

  var text: String {
    var table = TextTable([
      "stage, alone on \(threads) threads", "amount", "wall s", "processor s",
      "share of the operation",
    ])
    let whole = max(seconds, 1e-9)
    for stage in stages {
      let amount =
        stage.unit == "GB" ? Figure.fixed(stage.amount, 3) : Figure.fixed(stage.amount, 0)
      table.add([
        stage.name, "\(amount) \(stage.unit)", Figure.fixed(stage.wallSeconds, 3),
        Figure.fixed(stage.processorSeconds, 3),
        Figure.percent(stage.processorSeconds / whole),
      ])
    }
    let other = processorShare - processorSeconds
    table.add([
      "other work of the processor", "", "", Figure.fixed(other, 3), Figure.percent(other / whole),
    ])
    let waiting = max(0, seconds - processorShare)
    table.add([
      "waiting for disks, threads and other programs", "", Figure.fixed(waiting, 3), "",
      Figure.percent(waiting / whole),
    ])
    return """
      \(table.text)

      achieved/bound: \(Figure.fixed(achieved, 2)) on the wall (bound \
      \(Figure.fixed(bound.seconds, 3)) s, by \(bound.by)), \
      \(Figure.fixed(processorAchieved, 2)) of the processor's time
      """
  }
}
