import Glibc
import MuninnDisk
import Synchronization

/// Making the files of a tree anew, on all threads at once and until they are on the disk: small
/// ones by way of the page cache, large ones past it into space that was reserved, which is the
/// quickest way there is for each.
struct TargetPrimitives {
  let source: String
  let scratch: Scratch
  let threads: Int
  let runs: Int
  /// Of a larger tree only every so manieth file is made, so that it comes to about this.
  var createdBytes: UInt64 = 512 << 20
  /// What else the disk does for a restore of large files.
  var companion: Companion?

  /// Work beside the writing of large files: `run` is given the share of them that is written.
  struct Companion: Sendable {
    let prepare: @Sendable () -> Void
    let run: @Sendable (_ share: Double) -> Void
  }

  /// From here on a file is large, as for a restore.
  static let leastLargeByteCount: UInt64 = 8 << 20
  private static let pieceByteCount = 4 << 20

  struct Result {
    /// In content bytes of the tree, so that small files make it slow. Nil where there are none.
    let small: Measurement?
    let large: Measurement?
    /// The same beside the companion, where there is one: until both are done.
    let largeAndCompanion: Measurement?
    /// Of the tree's content what lies in large files.
    let largeShare: Double
  }

  private struct Plan {
    var directories: [String] = []
    var small: [SourceFiles.Entry] = []
    var large: [SourceFiles.Entry] = []
    var smallByteCount: UInt64 = 0
    var largeByteCount: UInt64 = 0
    /// Of all large files of the tree.
    var largeTotal: UInt64 = 0
  }

  func measure() throws -> Result {
    let plan = try planned()
    let whole = Double(max(1, plan.smallByteCount + plan.largeByteCount))
    let hasLarge = !plan.large.isEmpty
    return Result(
      small: plan.small.isEmpty ? nil : try making("create, write and sync files", plan, small),
      large: hasLarge ? try making("write large files directly", plan, large) : nil,
      largeAndCompanion: hasLarge && companion != nil
        ? try making("read repository beside writing", plan, beside: companion, large) : nil,
      largeShare: Double(plan.largeByteCount) / whole)
  }

  private func planned() throws -> Plan {
    var plan = Plan()
    let all = try SourceFiles.list(source).reduce(UInt64(0)) { $0 + $1.size }
    let step = Int(all / createdBytes) + 1
    var number = 0
    try SourceFiles.walk(source) { path, status in
      let below = path == source ? "/file" : String(path.dropFirst(source.count))
      if status.kind == .directory { plan.directories.append(below) }
      guard status.kind == .file else { return }
      // Holes stay holes.
      let whole = min(status.size, status.blocks512 * 512)
      if status.size >= Self.leastLargeByteCount { plan.largeTotal += whole }
      number += 1
      guard (number - 1) % step == 0 else { return }
      let size = min(whole, createdBytes)
      if status.size >= Self.leastLargeByteCount {
        let pages = size / UInt64(Buffer.alignment) * UInt64(Buffer.alignment)
        plan.large.append(SourceFiles.Entry(path: below, size: pages))
        plan.largeByteCount += pages
      } else {
        plan.small.append(SourceFiles.Entry(path: below, size: size))
        plan.smallByteCount += size
      }
    }
    return plan
  }

  private func making(
    _ name: String, _ plan: Plan, beside companion: Companion? = nil,
    _ make: (Plan, _ root: String, SharedBytes) throws -> UInt64
  ) throws -> Measurement {
    let share = Double(plan.largeByteCount) / Double(max(1, plan.largeTotal))
    let piece = SharedBytes(inHugePages: Self.pieceByteCount)
    GeneratedData.fill(piece.storage.bytes, seed: 11, compressible: 0)
    var target = ""
    return try Timing.throughput(
      name, runs: runs, threads: threads,
      // The trees stay until the end, as in `EndToEnd`.
      before: {
        target = try Scratch(below: scratch.path).path
        companion?.prepare()
        try sync(target)
      },
      {
        for directory in plan.directories { mkdir(target + directory, 0o755) }
        let other = companion.map { companion in
          WorkerThread.start(name: "beside") { companion.run(share) }
        }
        let byteCount = try make(plan, target, piece)
        try sync(target)
        other?.join()
        return (Int(byteCount), byteCount)
      })
  }

  private func sync(_ path: String) throws {
    let directory = try FileCalls.openDirectory(at: AT_FDCWD, path, path: path)
    try FileCalls.syncFileSystem(of: directory.descriptor, path: path)
  }

  /// Deals `0..<count` out to the threads; throws where any of it failed.
  private func deal(
    _ count: Int, in root: String, _ body: @Sendable (Int) throws -> Void
  ) throws {
    let failures = Atomic<Int>(0)
    WorkerThreads.deal(count, to: threads, name: "make") { next in
      while let index = next() {
        if (try? body(index)) == nil { failures.add(1, ordering: .relaxed) }
      }
    }
    guard failures.load(ordering: .relaxed) == 0 else {
      throw BenchError("files cannot be made in \(root)")
    }
  }

  // MARK: Small files

  private func small(_ plan: Plan, _ root: String, _ piece: SharedBytes) throws -> UInt64 {
    try deal(plan.small.count, in: root) { index in
      let file = plan.small[index]
      try Self.create(root + file.path, file.size, piece)
    }
    return plan.smallByteCount
  }

  /// A file with its times set.
  private static func create(_ path: String, _ size: UInt64, _ piece: SharedBytes) throws {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: flags, mode: 0o644, path: path)
    var rest = Int(size)
    while rest > 0 {
      let bytes = UnsafeRawBufferPointer(rebasing: piece.storage.bytes.prefix(rest))
      try FileCalls.write(file.descriptor, bytes, path: path)
      rest -= bytes.count
    }
    let time = timespec(tv_sec: 1_000_000_000, tv_nsec: 0)
    guard futimens(file.descriptor, [time, time]) == 0 else {
      throw BenchError("\(path) takes no times")
    }
  }

  // MARK: Large files

  private func large(_ plan: Plan, _ root: String, _ piece: SharedBytes) throws -> UInt64 {
    var pieces: [(file: Int, offset: UInt64, count: Int)] = []
    for (index, large) in plan.large.enumerated() {
      let path = root + large.path
      let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
      let file = try FileCalls.open(at: AT_FDCWD, path, flags: flags, mode: 0o644, path: path)
      _ = try FileCalls.allocate(file.descriptor, large.size, path: path)
      for offset in stride(from: 0, to: large.size, by: Self.pieceByteCount) {
        let count = min(large.size - offset, UInt64(Self.pieceByteCount))
        pieces.append((index, offset, Int(count)))
      }
    }
    let all = pieces
    try deal(all.count, in: root) { index in
      let (file, offset, count) = all[index]
      let bytes = UnsafeRawBufferPointer(rebasing: piece.storage.bytes.prefix(count))
      try Self.put(bytes, at: offset, root + plan.large[file].path)
    }
    return plan.largeByteCount
  }

  /// One piece, past the page cache where the file system knows that.
  private static func put(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, _ path: String
  ) throws {
    let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_WRONLY | O_NOFOLLOW, path: path)
    _ = FileCalls.setDirect(file.descriptor, true)
    try FileCalls.write(file.descriptor, at: offset, bytes, path: path)
  }
}
