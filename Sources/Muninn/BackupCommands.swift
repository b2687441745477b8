internal import MuninnDisk
internal import MuninnPipeline

/// The commands that run before and after a backup. Belongs to one thread.
struct BackupCommands {
  private let before: String?
  private let after: String?
  private let location: String
  private let cancellation: Cancellation

  init(_ request: BackupRequest, location: String, cancellation: Cancellation) {
    before = request.before
    after = request.after
    self.location = location
    self.cancellation = cancellation
  }

  func runBefore() throws(MuninnError) {
    guard let before else { return }
    if let failure = run(before, [], isCancellable: true) {
      if cancellation.isCancelled {
        throw MuninnError(.cancelled, "cancelled while the command before the backup ran")
      }
      throw MuninnError(
        .inputOutput,
        "the command before the backup, '\(before)', \(failure): nothing was backed up")
    }
  }

  /// Runs also where there is no report because the backup failed or was cancelled. Returns what
  /// went wrong with the command itself.
  func runAfter(_ report: BackupReport?) -> PathProblem? {
    guard let after else { return nil }
    let result =
      if let report { report.isComplete ? "success" : "partial" } else { "failure" }
    var variables = ["MUNINN_RESULT=\(result)"]
    if let report { variables.append("MUNINN_SNAPSHOT=\(report.snapshot.id)") }
    guard let failure = run(after, variables, isCancellable: false) else { return nil }
    return PathProblem(
      path: after, message: "the command after the backup \(failure); the snapshot was made")
  }

  /// What went wrong; nil where nothing did.
  private func run(_ command: String, _ variables: [String], isCancellable: Bool) -> String? {
    do throws(DiskError) {
      let process = try ChildProcess(
        ["/bin/sh", "-c", command].map { Array($0.utf8) },
        environment: (variables + ["MUNINN_REPOSITORY=\(location)"]).map { Array($0.utf8) })
      let status = process.waitToEnd { isCancellable && cancellation.isCancelled }
      if status == 0 { return nil }
      return status > 128
        ? "was ended by signal \(status - 128)" : "ended with status \(status)"
    } catch {
      return "could not be started: \(error.description)"
    }
  }
}

extension BackupRequest {
  func streamSource() throws(MuninnError) -> StreamSource? {
    guard let stream else { return nil }
    guard paths.isEmpty, listedPaths.isEmpty else {
      throw MuninnError(
        .invalidInput, "a stream is backed up alone: name no paths with it, or no stream")
    }
    let origin: StreamSource.Origin =
      switch stream.origin {
      case .descriptor(let descriptor): .descriptor(descriptor)
      case .command(let arguments): .command(arguments.map { pathBytes(display: $0) })
      }
    return try asMuninn(pipeline: { () throws(PipelineError) in
      try StreamSource(path: pathBytes(display: stream.name), origin: origin)
    })
  }

  func applyControls(to options: inout BackupOptions) throws(MuninnError) {
    if let readers, !(1...1024).contains(readers) {
      throw MuninnError(.invalidInput, "\(readers) readers cannot be had: give 1 to 1024")
    }
    if let cpuPercent, !(1...100).contains(cpuPercent) {
      throw MuninnError(
        .invalidInput, "\(cpuPercent) is no share of a processor: give 1 to 100 per cent")
    }
    if readRate == 0 {
      throw MuninnError(
        .invalidInput, "nothing can be read at a rate of 0: give a rate above it, or none")
    }
    guard (0...12).contains(compressionLevel) else {
      throw MuninnError(
        .invalidInput,
        "there is no compression level \(compressionLevel): give 0 for none, 1 for fast, 3 to 12")
    }
    options.level = compressionLevel
    guard (0...100).contains(rewriteLimitPercent) else {
      throw MuninnError(
        .invalidInput,
        "\(rewriteLimitPercent) per cent of the content cannot be rewritten: give 0 to 100")
    }
    options.rewriteLimit = rewriteLimitPercent / 100
    options.ignoresInode = ignoresInode
    options.verifiesDuplicates = verifiesDuplicates
    options.readers = readers
    options.readRate = readRate
    options.cpuPercent = cpuPercent
    options.keepsPageCache = keepsPageCache
  }
}
