import MuninnDisk

/// Runs operations on a tree and the primitives of the same machine beside them, and prints what
/// came of it: alike for `tree`, `backup`, `restore` and `defrag`.
struct EndToEndMeasurement {
  let report: ReportOptions
  let parameters: String
  var endToEnd: EndToEnd
  let sampleBytes: Int

  func run() async throws {
    let machine = MachineDescription.current()
    func say(_ line: String) { if !report.json { Report.print(line) } }
    say("machine: \(machine.line)")
    say("command: \(Report.commandLine)")
    say(
      "parameters: \(parameters); \(endToEnd.threads) threads, \(report.runs) runs, "
        + (endToEnd.isCold ? "caches dropped before each" : "page cache as it comes"))
    var results = try await endToEnd.measure(say)
    let primitives = try measurePrimitives(say)
    for index in results.indices {
      results[index].breakdown = breakdown(of: results[index], primitives)
    }
    if let path = report.plot { try plot(results, primitives).write(to: path) }
    guard report.json else { return print(results) }
    try Report.printJSON(
      EndToEndReport(
        machine: machine, command: Report.commandLine, parameters: parameters,
        operations: results, primitives: primitives.all))
  }

  private func print(_ results: [OperationResult]) {
    Report.print("\n\(OperationResult.table(results))")
    for result in results {
      var heading =
        "\n### \(result.name): \(result.entries) entries, "
        + "\(Figure.fixed(Double(result.dataBytes) / 1e6, 1)) MB of data"
      if result.bytesStored > 0 {
        heading +=
          ", \(Figure.fixed(Double(result.bytesNew) / 1e6, 1)) MB new, "
          + "\(Figure.fixed(Double(result.bytesStored) / 1e6, 1)) MB stored"
      }
      if let extents = result.extents, result.files > 0 {
        let average = Double(extents) / Double(result.files)
        heading += ", \(Figure.fixed(average, 3)) extents a file"
      }
      Report.print(heading)
      if let breakdown = result.breakdown { Report.print("\n\(breakdown.text)") }
    }
  }

  // MARK: The machine

  private struct Primitives {
    let backup: RooflineResult
    let restore: RestorePrimitives.Result

    var all: [Measurement] { [backup.entriesPerSecond] + backup.stages + restore.all }

    subscript(_ name: String) -> Measurement? { backup.stages.first { $0.name == name } }
  }

  private func measurePrimitives(_ say: (String) -> Void) throws -> Primitives {
    let roofline = Roofline(
      tree: endToEnd.source, directory: endToEnd.scratch.path, threads: endToEnd.threads,
      sampleBytes: sampleBytes, runs: report.runs, writeBytes: min(64 << 20, sampleBytes),
      readsDisk: endToEnd.isCold)
    let backup = try roofline.measure(say)
    let files = try SourceFiles.list(endToEnd.source).filter { $0.size > 0 }
    let restore = try RestorePrimitives(
      repository: endToEnd.repositoryPath, source: endToEnd.source, scratch: endToEnd.scratch,
      threads: endToEnd.threads, runs: report.runs, readsDisk: endToEnd.isCold
    ).measure(sample: TreeSample.load(files, byteCount: sampleBytes))
    say("restore's primitives measured")
    return Primitives(backup: backup, restore: restore)
  }

  private func breakdown(of result: OperationResult, _ machine: Primitives) -> Breakdown {
    var stages: [StageShare] = []
    func add(_ name: String, _ amount: UInt64, isDisk: Bool = false) {
      guard amount > 0, let measured = machine[name] else { return }
      stages.append(StageShare(measured, amount: amount, isDisk: isDisk))
    }
    switch EndToEnd.Operation(rawValue: result.name) {
    case .firstBackup, .unchangedBackup, .changedBackup, nil:
      stages.append(StageShare(machine.backup.entriesPerSecond, amount: result.entries))
      add("read, page cache", result.bytesRead)
      add("read, disk", result.bytesRead, isDisk: true)
      for name in ["chunk", "fingerprint", "tag"] { add(name, result.bytesRead) }
      add("compress", result.bytesNew)
      add("write and sync", result.bytesStored, isDisk: true)
    case .restore, .defragmentingRestore, .check:
      stages.append(StageShare(machine.restore.readCached, amount: result.bytesRead))
      // Where all files are large, reading is measured together with writing.
      let target = machine.restore.target
      let isRestore = result.name != EndToEnd.Operation.check.rawValue
      let both = isRestore && target.largeShare > 0.99 ? target.largeAndCompanion : nil
      if let disk = machine.restore.readDisk, both == nil {
        stages.append(StageShare(disk, amount: result.bytesRead, isDisk: true))
      }
      stages.append(StageShare(machine.restore.decompress, amount: result.dataBytes))
      // A check asks the whole identity of a chunk, a restore its keyed fingerprint alone.
      add("fingerprint", result.dataBytes)
      if !isRestore {
        add("tag", result.dataBytes)
      } else {
        let large = UInt64(Double(result.dataBytes) * target.largeShare)
        if let small = target.small {
          stages.append(StageShare(small, amount: result.dataBytes - large))
        }
        if let writing = both ?? target.large {
          stages.append(StageShare(writing, amount: large, isDisk: true))
        }
      }
    }
    return Breakdown(result, threads: endToEnd.threads, stages: stages)
  }

  private func plot(_ results: [OperationResult], _ primitives: Primitives) -> Plot {
    var plot = Plot(title: parameters)
    plot.lines = results.compactMap { result in
      result.runs.last.map { Plot.Line(result.name, $0.timeline) }
    }
    plot.bars = results.map { Plot.Bar($0) } + primitives.all.map { Plot.Bar($0) }
    return plot
  }
}

private struct EndToEndReport: Encodable {
  let machine: MachineDescription
  let command: String
  let parameters: String
  let operations: [OperationResult]
  let primitives: [Measurement]
}
