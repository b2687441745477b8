import ArgumentParser
import CMuninn
import MuninnDisk

/// `muninn-bench evaluate`: what chunkers find in versions of real data.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Deduplication of our chunker, FastCDC and fixed sizes over versions of data.",
    discussion: """
      Each DIRECTORY is a corpus; its subdirectories, sorted by name, are its versions. All \
      chunkers see the same bytes in one pass.
      """)

  @Flag(help: "Print one JSON object instead of tables.")
  var json = false

  @Argument(help: "Corpora.")
  var directories: [String]

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Average chunk sizes in KiB, 8 to 1024.", valueName: "kib"))
  var averages = [8, 16, 32, 64, 128, 256, 512, 1024]

  @Option(
    parsing: .upToNextOption, help: "muninn, muninn-matched, fastcdc, fixed.",
    transform: { name in
      guard let kind = ChunkerKind(rawValue: name) else {
        throw ValidationError("no chunker is called \(name)")
      }
      return kind
    })
  var chunkers = ChunkerKind.allCases

  @Option(help: "Minimum size: the average over this.")
  var minimumDivisor = 4

  @Option(help: "Maximum size: the average times this.")
  var maximumFactor = 4

  @Flag(help: "Also compress the unique chunks with LZ4, in blocks.")
  var compress = false

  @Option(help: ArgumentHelp("Raw size of a block, in KiB.", valueName: "kib"))
  var block = 256

  func validate() throws {
    guard averages.allSatisfy({ (1...3000).contains($0) }) else {
      throw ValidationError("--averages are 1 to 3000")
    }
    guard (4...16_384).contains(block) else { throw ValidationError("--block is 4 to 16384") }
    guard (2...16).contains(minimumDivisor), (2...4).contains(maximumFactor) else {
      throw ValidationError("--minimum-divisor is 2 to 16, --maximum-factor 2 to 4")
    }
  }

  func run() throws {
    let machine = MachineDescription.current()
    if !json {
      Report.print("machine: \(machine.line)")
      Report.print("command: \(Report.commandLine)")
      Report.print(
        "minimum = average / \(minimumDivisor), maximum = average x \(maximumFactor); metadata "
          + "\(ChunkerUnderTest.metadataBytesPerChunk) B and index "
          + "\(ChunkerUnderTest.indexBytesPerChunk) B a chunk")
    }
    var results: [EvaluatedCorpus] = []
    for directory in directories {
      let corpus = try evaluate(directory)
      results.append(corpus)
      if !json { Report.print("\n### \(corpus.corpus)\n\n\(corpus.table(compress: compress))") }
    }
    if json {
      try Report.printJSON(
        EvaluationReport(machine: machine, command: Report.commandLine, corpora: results))
    }
  }

  private func evaluate(_ directory: String) throws -> EvaluatedCorpus {
    let secret = [UInt8](repeating: 0x5A, count: Int(MN_SECRET_SIZE))
    let tested = averages.flatMap { average in
      chunkers.map {
        ChunkerUnderTest(
          kind: $0, average: average << 10, divisor: minimumDivisor, factor: maximumFactor,
          blockSize: compress ? block << 10 : nil)
      }
    }
    let versions = try SourceFiles.versions(directory)
    var files = 0
    for version in versions {
      for file in try SourceFiles.list(version) {
        let read = SourceFiles.withContent(file.path) { content in
          for chunker in tested { chunker.take(content, secret: secret) }
        }
        if read { files += 1 }
      }
    }
    for chunker in tested { chunker.finish() }
    return EvaluatedCorpus(
      corpus: directory, versions: versions.count, files: files,
      rows: tested.map { EvaluatedChunker($0) })
  }
}

private struct EvaluationReport: Encodable {
  let machine: MachineDescription
  let command: String
  let corpora: [EvaluatedCorpus]
}

/// The counts of one chunker, as a report has them.
struct EvaluatedChunker: Encodable {
  let chunker: ChunkerKind
  let average: Int
  let mean: Double
  let tenth: Int
  let median: Int
  let ninetieth: Int
  let byteCount: Int
  let chunks: Int
  let uniqueChunks: Int
  let uniqueBytes: Int
  let storedBytes: Int
  /// All bytes over unique bytes and metadata.
  let ratio: Double
  let maximumShare: Double
  let candidateShare: Double
  let indexBytesPerTB: Double

  init(_ tested: ChunkerUnderTest) {
    chunker = tested.kind
    average = tested.average
    byteCount = tested.byteCount
    chunks = tested.chunkCount
    uniqueChunks = tested.uniqueChunks
    uniqueBytes = tested.uniqueBytes
    storedBytes = tested.storedBytes
    tenth = tested.quantile(0.1)
    median = tested.quantile(0.5)
    ninetieth = tested.quantile(0.9)
    let bytes = Double(max(tested.byteCount, 1))
    mean = bytes / Double(max(tested.chunkCount, 1))
    let kept = tested.uniqueBytes + tested.uniqueChunks * ChunkerUnderTest.metadataBytesPerChunk
    ratio = bytes / Double(max(kept, 1))
    maximumShare = Double(tested.maximumBytes) / bytes
    candidateShare = Double(tested.candidateBytes) / bytes
    indexBytesPerTB =
      Double(tested.uniqueChunks * ChunkerUnderTest.indexBytesPerChunk) * 1e12
      / Double(max(tested.uniqueBytes, 1))
  }
}

struct EvaluatedCorpus: Encodable {
  let corpus: String
  let versions: Int
  let files: Int
  let rows: [EvaluatedChunker]

  func table(compress: Bool) -> String {
    var titles = [
      "chunker", "average", "mean", "p10", "p50", "p90", "unique MB", "chunks", "ratio",
      "at maximum", "at candidate", "index MB/TB",
    ]
    if compress { titles.insert("LZ4 + metadata MB", at: 8) }
    var table = TextTable(titles)
    for row in rows {
      var cells = [
        row.chunker.rawValue, "\(row.average >> 10) KiB", Figure.fixed(row.mean, 0),
        "\(row.tenth)", "\(row.median)", "\(row.ninetieth)",
        Figure.fixed(Double(row.uniqueBytes) / 1e6, 1), "\(row.uniqueChunks)",
        Figure.fixed(row.ratio, 4), Figure.percent(row.maximumShare, 2),
        Figure.percent(row.candidateShare, 2), Figure.fixed(row.indexBytesPerTB / 1e6, 0),
      ]
      if compress {
        let metadata = row.uniqueChunks * ChunkerUnderTest.metadataBytesPerChunk
        cells.insert(Figure.fixed(Double(row.storedBytes + metadata) / 1e6, 1), at: 8)
      }
      table.add(cells)
    }
    let bytes = Figure.fixed(Double(rows.first?.byteCount ?? 0) / 1e6, 1)
    return "\(versions) versions, \(files) files, \(bytes) MB\n\n\(table.text)"
  }
}
