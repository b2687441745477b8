internal import MuninnDisk
internal import MuninnFormat

/// What is backed up as one file without being one: a pipe, or what a program writes.
package struct StreamSource: Sendable {
  package enum Origin: Sendable {
    /// An open descriptor, read to its end.
    case descriptor(CInt)
    /// A program and its arguments; the backup fails where it does not end with 0.
    case command([[UInt8]])
  }

  /// Below the root: names of directories and of the file.
  package let path: [UInt8]
  package let origin: Origin

  /// Throws where the path is none that a snapshot can have.
  package init(path: [UInt8], origin: Origin) throws(PipelineError) {
    let below = Array(path.drop { $0 == 0x2F })
    guard !below.isEmpty, isSafePath(below) else {
      throw PipelineError(
        .invalidInput,
        "'\(displayPath(path))' cannot be the name of a stream: give one such as dump/app.sql")
    }
    self.path = below
    self.origin = origin
  }

  /// The directories that hold the file, as this process would make them now, the root first.
  func directories(at time: Int64) -> [ManifestEntry] {
    var paths: [[UInt8]] = [[]]
    for index in path.indices where path[index] == 0x2F { paths.append(Array(path[..<index])) }
    return paths.map { StreamSource.entry($0, .directory, mode: 0o755, time) }
  }

  func file(at time: Int64) -> ManifestEntry {
    StreamSource.entry(path, .file, mode: 0o600, time)
  }

  private static func entry(
    _ path: [UInt8], _ kind: EntryKind, mode: UInt16, _ time: Int64
  ) -> ManifestEntry {
    var entry = ManifestEntry(path: path, kind: kind)
    entry.mode = mode
    (entry.userID, entry.groupID) = Machine.effectiveIDs
    entry.userName = NameCache.userName(entry.userID)
    entry.groupName = NameCache.groupName(entry.groupID)
    entry.modifiedNanoseconds = time
    entry.changedNanoseconds = time
    return entry
  }
}

/// A stream that is being read. Belongs to one thread.
struct OpenStream {
  private let source: StreamSource
  private let process: ChildProcess?
  private let cancellation: Cancellation

  init(_ source: StreamSource, cancellation: Cancellation) throws(DiskError) {
    self.source = source
    self.cancellation = cancellation
    if case .command(let arguments) = source.origin {
      process = try ChildProcess(arguments, readsOutput: true)
    } else {
      process = nil
    }
  }

  /// Less than the buffer holds comes back at the end alone.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
    if let process { return try process.read(into: buffer) { cancellation.isCancelled } }
    guard case .descriptor(let descriptor) = source.origin else { return 0 }
    return try FileCalls.readStream(
      descriptor, into: buffer, isCancelled: { cancellation.isCancelled }, path: "the stream")
  }

  /// Throws unless the program ended well.
  func finish() throws(PipelineError) {
    guard let process, case .command(let arguments) = source.origin else { return }
    let status = process.waitToEnd { cancellation.isCancelled }
    guard status != 0 else { return }
    let command = arguments.map { displayPath($0) }.joined(separator: " ")
    let how = status > 128 ? "was ended by signal \(status - 128)" : "ended with status \(status)"
    throw PipelineError(
      .inputOutput, "the command '\(command)' \(how): no snapshot was made of what it wrote")
  }
}
