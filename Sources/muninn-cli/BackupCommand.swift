import ArgumentParser
import Glibc
import Muninn

struct BackupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Back up one or more paths, or a stream, as a new snapshot.",
    discussion: """
      One directory becomes the snapshot's root; several paths keep their absolute names. What has \
      not changed since the last backup of the same paths from this host is not read again.

      With --stdin-from-command, what follows -- is a command and its arguments:
        muninn backup REPOSITORY --stdin-from-command --stdin-name app.sql -- pg_dump app

      \(ExitStatus.discussion)
      """)

  @OptionGroup var target: RepositoryArgument
  @Argument(help: "What to back up.")
  var paths: [String] = []
  @Option(name: .customLong("tag"), help: "A tag for the snapshot; may be given several times.")
  var tags: [String] = []
  @OptionGroup(title: "What is taken") var source: SourceOptions
  @OptionGroup(title: "What is read again") var reading: ReadingOptions
  @OptionGroup(title: "Streams and commands") var stream: StreamOptions
  @OptionGroup(title: "Control") var control: ControlOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions
  @Flag(help: "Print progress, problems and the report as JSON objects, one a line.")
  var jsonLines = false

  func run() async throws {
    let request = try makeRequest()
    if control.dryRun { return try await preview(request) }
    let line = ProgressLine()
    defer { line.end() }
    let handler = jsonLines ? JSONLines.handler() : line.handler
    let result = try await Interruption.cancelling { [target] in
      let repository = try await target.open()
      return try await repository.backup(request, progress: handler)
    }
    line.end()
    if jsonLines {
      JSONLines.write(report: result)
    } else if report.isJSON {
      try JSONOutput.print(result)
    } else {
      summarise(result)
    }
    complain(result)
    if !result.isComplete { throw ExitStatus.partial }
  }

  private func makeRequest() throws -> BackupRequest {
    var request = BackupRequest(paths: [])
    try source.apply(to: &request)
    if try !stream.apply(to: &request, words: paths) {
      request.paths = paths.map { PathText.encode(Paths.absoluteBytes($0)) }
      guard !request.paths.isEmpty || !request.listedPaths.isEmpty else {
        throw ValidationError(
          "name what to back up: a path, a list of paths with --files-from, or --stdin")
      }
    }
    reading.apply(to: &request)
    control.apply(to: &request)
    request.tags = tags
    request.threads = threads.threads
    return request
  }

  private func preview(_ request: BackupRequest) async throws {
    let line = ProgressLine()
    defer { line.end() }
    let result = try await Interruption.cancelling { [target] in
      let repository = try await target.open()
      return try await repository.preview(request, progress: line.handler)
    }
    line.end()
    if report.isJSON || jsonLines {
      try JSONOutput.print(result)
    } else {
      let parent = result.parent.map { "held against \($0.prefix(8))" } ?? "a first backup"
      Terminal.print("nothing was written: \(parent)  \(Quantity.elapsed(result.seconds))")
      Self.print(files: result.statistics)
      let counts = result.statistics
      Terminal.print(
        "bytes    \(Quantity.size(counts.bytes))  to read \(Quantity.size(counts.bytesRead))")
    }
    let errors = max(result.statistics.errors, UInt64(result.problems.count))
    if errors > 0 {
      ProblemList.complain(result.problems, of: errors, "looked at")
      throw ExitStatus.partial
    }
  }

  private static func print(files counts: BackupStatistics) {
    Terminal.print(
      "files    \(Quantity.count(counts.files))  new \(Quantity.count(counts.filesNew))"
        + "  changed \(Quantity.count(counts.filesChanged))"
        + "  unchanged \(Quantity.count(counts.filesUnchanged))")
  }

  private func summarise(_ result: BackupReport) {
    let counts = result.snapshot.statistics
    Terminal.print(
      "snapshot \(result.snapshot.shortID)  \(result.snapshot.kind.rawValue)"
        + "  \(Quantity.elapsed(result.seconds))  \(Quantity.rate(result.bytesPerSecond))")
    if !result.continued.isEmpty {
      let partials = result.continued.map { String($0.prefix(8)) }.joined(separator: " ")
      Terminal.print("went on  from partial \(partials)")
    }
    Self.print(files: counts)
    Terminal.print(
      "bytes    \(Quantity.size(counts.bytes))  read \(Quantity.size(counts.bytesRead))"
        + "  new \(Quantity.size(counts.bytesNew))  stored \(Quantity.size(counts.bytesStored))")
    let ratios = [
      result.deduplicationRatio.map { "deduplicated \(Quantity.ratio($0))" },
      result.compressionRatio.map { "compressed \(Quantity.ratio($0))" },
    ].compactMap { $0 }
    if let layout = result.fragmentation, layout.containers > 0 {
      Terminal.print(
        "layout   \(Quantity.count(layout.containers)) containers, "
          + "\(Quantity.size(UInt64(layout.speedFactor * 1_048_576))) of each needed"
          + (result.bytesRewritten > 0 ? ", rewrote \(Quantity.size(result.bytesRewritten))" : ""))
    }
    if !ratios.isEmpty { Terminal.print("ratios   " + ratios.joined(separator: "  ")) }
  }

  private func complain(_ result: BackupReport) {
    let errors = max(result.snapshot.statistics.errors, UInt64(result.problems.count))
    if errors > 0 { ProblemList.complain(result.problems, of: errors, "read") }
    if let problem = result.afterProblem {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    ProblemList.complain(
      result.unstable, of: result.unstableCount, saying: "changed while they were read")
    if result.refusedDuplicates > 0 {
      Terminal.complain(
        "\(Quantity.count(result.refusedDuplicates)) chunks were stored anew: under their "
          + "fingerprints the repository has something else, or what cannot be read; run check "
          + "--read-data"
      )
    }
    ProblemList.complain(
      result.differing, of: result.differingCount,
      saying: "were not what the parent has of them although nothing said so")
  }
}

/// Which files are read.
struct ReadingOptions: ParsableArguments {
  @Flag(
    help: """
      Read every file instead of trusting inode, size and times, and list those where they were \
      wrong.
      """)
  var full = false
  @Flag(help: "Take a file for unchanged also where its inode number is another one.")
  var ignoreInode = false
  @Flag(
    help: """
      Read what the repository has of each chunk that is there already, and take it only if the \
      bytes are the same.
      """)
  var verifyDuplicates = false

  func apply(to request: inout BackupRequest) {
    request.isFull = full
    request.ignoresInode = ignoreInode
    request.verifiesDuplicates = verifyDuplicates
  }
}

/// Streams instead of paths, and commands around a backup.
struct StreamOptions: ParsableArguments {
  @Flag(help: "Back up standard input as one file.")
  var stdin = false
  @Flag(help: "Back up what a command writes; if it fails no snapshot is made.")
  var stdinFromCommand = false
  @Option(help: "What the file is called in the snapshot.")
  var stdinName = "stdin"
  @Option(help: "A shell command that runs first, such as one that mounts a volume's snapshot.")
  var before: String?
  @Option(help: "A shell command that runs last, whatever came before.")
  var after: String?

  /// Whether the words of the command line are no paths.
  func apply(to request: inout BackupRequest, words: [String]) throws -> Bool {
    request.before = before
    request.after = after
    guard stdin || stdinFromCommand else { return false }
    let name = PathText.encode(RawArguments.bytes(of: stdinName))
    guard !(stdin && stdinFromCommand) else {
      throw ValidationError("give either --stdin or --stdin-from-command")
    }
    if stdinFromCommand {
      guard !words.isEmpty else {
        throw ValidationError("name the command behind --: --stdin-from-command -- pg_dump app")
      }
      let command = words.map { PathText.encode(RawArguments.bytes(of: $0)) }
      request.stream = StreamRequest(name: name, origin: .command(command))
    } else {
      guard words.isEmpty else {
        throw ValidationError("--stdin is backed up alone: leave out '\(words[0])'")
      }
      request.stream = StreamRequest(name: name, origin: .descriptor(STDIN_FILENO))
    }
    return true
  }
}

/// What keeps a backup from being felt.
struct ControlOptions: ParsableArguments {
  @Flag(help: "Say what would be backed up; read no file and write nothing.")
  var dryRun = false
  @Option(
    help: "Files that are read at the same time; if not given, as many as suit the storage.")
  var readers: Int?
  @Option(
    name: .customLong("level"),
    help: ArgumentHelp(
      "Compress so hard: 0 not at all, 1 fast, 3 to 12 slower and smaller.", valueName: "level"))
  var compressionLevel = 1
  @Option(
    name: .customLong("limit-read"),
    help: ArgumentHelp("Read at most so much a second: 500K, 20M.", valueName: "size"))
  var readRate: FileSize?
  @Option(
    name: .customLong("limit-cpu"),
    help: ArgumentHelp("Let each thread compute so much of its time.", valueName: "percent"))
  var cpuPercent: Int?
  @Option(
    help: ArgumentHelp(
      "Begin only if the repository's disk has so much free; 8M if not given.",
      valueName: "size"))
  var minFree: FileSize?
  @Option(
    help: ArgumentHelp(
      """
      Write so much of the content again at most, out of containers of which little is needed, so \
      that restores stay fast; 1 if not given, 0 for nothing.
      """, valueName: "percent"))
  var rewriteLimit: Double?
  @Flag(help: "Leave what is read in the page cache, also what was not there before.")
  var keepCache = false
  @Option(
    name: .customLong("partial-every"),
    help: ArgumentHelp(
      "Commit what was backed up so far as a partial snapshot this often, from which the next "
        + "backup goes on if this one does not end: 30s, 5m, 1h, never; 5m if not given.",
      valueName: "time"))
  var partialInterval: Interval?

  func apply(to request: inout BackupRequest) {
    request.readers = readers
    request.compressionLevel = compressionLevel
    request.readRate = readRate?.bytes
    request.cpuPercent = cpuPercent
    if let rewriteLimit { request.rewriteLimitPercent = rewriteLimit }
    if let minFree { request.minimumFreeBytes = minFree.bytes }
    request.keepsPageCache = keepCache
    if let partialInterval { request.partialInterval = partialInterval.seconds }
  }
}
