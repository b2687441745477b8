import ArgumentParser
import MuninnDisk

/// `muninn-bench readpath`: which way of reading is the fastest, and whether a simpler one will do.
struct ReadPathCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "readpath",
    abstract: "Ways of reading large files, and many small ones, with warm and cold cache.",
    discussion: """
      Files over 1 MiB are read with read, mmap, O_DIRECT and RWF_DONTCACHE; the others with \
      threads and with io_uring. Every way hashes what it read (XXH3-64), so that a mapping's \
      pages are touched and all ways can be seen to have read the same. The ways take turns. \
      Cold means that the kernel forgot the files' pages (POSIX_FADV_DONTNEED); with \
      --drop-caches everything, names and inodes included. A virtual machine's host may still \
      have them.
      """)

  @OptionGroup var report: ReportOptions

  @Argument(help: "A file, or a directory.")
  var path: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Numbers of threads to try.", valueName: "n"))
  var threads = [1, 2, 4]

  @Option(help: ArgumentHelp("Bytes of each table at most, in MiB.", valueName: "mib"))
  var limit = 4096

  @Option(help: "Files that io_uring has in work at a time.")
  var depth = 64

  @Flag(help: "Drop all caches of the machine before each cold reading; only root may.")
  var dropCaches = false

  @Flag(help: "Leave the cold cache out.")
  var warmOnly = false

  func validate() throws {
    guard !threads.isEmpty, threads.allSatisfy({ (1...256).contains($0) }) else {
      throw ValidationError("--threads are 1 to 256")
    }
    guard limit >= 1 else { throw ValidationError("--limit is 1 or more") }
    guard (1...1024).contains(depth) else { throw ValidationError("--depth is 1 to 1024") }
  }

  func run() throws {
    let machine = MachineDescription.current()
    let files = try SourceFiles.list(try Scratch.absolute(path)).filter { $0.size > 0 }
    let small = limited(files.filter { $0.size <= ReadingWork.smallBytes })
    let large = limited(files.filter { $0.size > ReadingWork.smallBytes })
    guard !files.isEmpty else { throw BenchError("\(path) holds no file with content") }
    var tables: [ReadingTable] = []
    if !report.json {
      Report.print("machine: \(machine.line)")
      Report.print("command: \(Report.commandLine)")
    }
    let states: [ReadingState] =
      warmOnly ? [.warm] : [.warm, dropCaches ? .coldEverything : .coldPages]
    for state in states {
      for (title, chosen, ways) in [
        ("files over 1 MiB", large, LargeWay.all(threads: threads)),
        ("files up to 1 MiB", small, SmallWay.all(threads: threads, depth: depth)),
      ] where !chosen.isEmpty {
        let table = try ReadingTable(
          title: title, files: chosen, state: state, ways: ways, runs: report.runs)
        tables.append(table)
        if !report.json { Report.print(table.text) }
      }
    }
    if let path = report.plot {
      var plot = Plot(title: "reading \(self.path)")
      plot.bars = tables.flatMap { table in
        table.measurements.map { measured in
          var bar = Plot.Bar(measured)
          bar.bound = table.best
          return bar
        }
      }
      try plot.write(to: path)
    }
    if report.json {
      try Report.printJSON(
        ReadPathReport(machine: machine, command: Report.commandLine, tables: tables))
    }
  }

  private func limited(_ files: [SourceFiles.Entry]) -> [SourceFiles.Entry] {
    var sum: UInt64 = 0
    return Array(
      files.prefix { file in
        defer { sum += file.size }
        return sum < UInt64(limit) << 20
      })
  }
}

private struct ReadPathReport: Encodable {
  let machine: MachineDescription
  let command: String
  let tables: [ReadingTable]
}

enum ReadingState: String, Encodable {
  case warm = "warm cache"
  case coldPages = "cold pages"
  case coldEverything = "all caches dropped"
}

/// The ways over the same files, simplest first.
struct ReadingTable: Encodable {
  let title: String
  let state: ReadingState
  let files: Int
  let byteCount: UInt64
  let measurements: [Measurement]
  /// GB/s of the fastest.
  let best: Double
  let choice: String
  /// The same of the processor's time, which other programs do not disturb; where nothing is
  /// waited for, it decides.
  let processorChoice: String
  /// What could not be measured, and why.
  let refused: [String]

  init(
    title: String, files: [SourceFiles.Entry], state: ReadingState, ways: [any ReadingWay],
    runs: Int
  ) throws {
    var values: [[(wall: Double, processor: Double)]] = ways.map { _ in [] }
    var hashes = [UInt64](repeating: 0, count: ways.count)
    var refused: [Int: String] = [:]
    let bytes = files.reduce(0) { $0 + $1.size }
    let work = ReadingWork(files: files)
    // The first round fills the cache and does not count.
    for run in -1..<runs where run >= 0 || state == .warm {
      // Each round begins with another way, so that none is always first.
      for turn in ways.indices {
        let index = (turn + max(run, 0)) % ways.count
        let way = ways[index]
        guard refused[index] == nil else { continue }
        do {
          switch state {
          case .warm: break
          case .coldPages: PageCache.drop(files.map(\.path))
          case .coldEverything: try PageCache.dropAll()
          }
          let (wall, processor, hash) = try Timing.both { try way.read(work) }
          hashes[index] = hash
          if run >= 0 { values[index].append((wall, processor)) }
        } catch {
          refused[index] = "\(way.name): \(error)"
        }
      }
    }
    let known = ways.indices.filter { refused[$0] == nil }
    guard Set(known.map { hashes[$0] }).count <= 1 else {
      throw BenchError("the ways of reading do not agree; was a file changed meanwhile?")
    }
    self.title = title
    self.state = state
    self.files = files.count
    byteCount = bytes
    measurements = known.map { index in
      let amount = Double(bytes) / 1e9
      return Measurement(
        name: ways[index].name, unit: "GB/s",
        values: values[index].map { amount / max($0.wall, 1e-9) },
        processorValues: values[index].map { amount / max($0.processor, 1e-9) },
        resultHash: String(hashes[index], radix: 16))
    }
    let choices = zip(known, measurements).filter { ways[$0.0].isChoice }.map(\.1)
    best = choices.map(\.median).max() ?? 0
    choice = Self.simplest(choices, by: \.median)
    processorChoice = Self.simplest(choices, by: \.processorMedian)
    self.refused = refused.sorted { $0.key < $1.key }.map(\.value)
  }

  /// The first that is within 5 % of the best.
  private static func simplest(
    _ choices: [Measurement], by rate: (Measurement) -> Double
  ) -> String {
    let best = choices.map(rate).max() ?? 0
    return choices.first { rate($0) >= 0.95 * best }?.name ?? ""
  }

  var text: String {
    var table = TextTable([
      "way", "GB/s", "spread", "of the best", "files/s", "GB a processor second",
    ])
    for measured in measurements {
      table.add([
        measured.name, Figure.fixed(measured.median, 3), Figure.percent(measured.spread),
        Figure.percent(measured.median / max(best, 1e-9), 0),
        Figure.fixed(Double(files) * measured.median * 1e9 / Double(max(byteCount, 1)), 0),
        Figure.fixed(measured.processorMedian, 2),
      ])
    }
    let notes = refused.map { "\nnot measured: \($0)" }.joined()
    return """

      ### \(title), \(state.rawValue): \(files) files, \
      \(Figure.fixed(Double(byteCount) / 1e6, 1)) MB, hash \(measurements.first?.resultHash ?? "")

      \(table.text)

      simplest within 5 % of the best: \(choice); of the processor's time: \
      \(processorChoice)\(notes)
      """
  }
}
