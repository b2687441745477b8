import CMuninn
import Glibc
import MuninnDisk
import MuninnFormat
import Synchronization

/// Measures each primitive apart, on all threads at once.
struct Roofline {
  let tree: String
  let directory: String
  let threads: Int
  let sampleBytes: Int
  let runs: Int
  /// What each thread writes.
  var writeBytes = 64 << 20
  /// Whether the tree is read from the disk too, which takes it out of the cache for a while.
  var readsDisk = true

  /// The default average of a repository's chunks.
  private static let averageChunkBytes = 32 << 10

  func measure(_ progress: (String) -> Void) throws -> RooflineResult {
    let files = try SourceFiles.list(tree).filter { $0.size > 0 }
    guard !files.isEmpty else { throw BenchError("\(tree) holds no file with content") }
    let total = files.reduce(0) { $0 + $1.size }
    progress("\(files.count) files, \(total >> 20) MiB")

    let (walk, entries) = try walking()
    let cached = reading("read, page cache", files, dropping: false)
    let disk = readsDisk ? reading("read, disk", files, dropping: true) : nil
    progress("reading measured")
    let sample = TreeSample.load(files, byteCount: sampleBytes)
    // A small file is one chunk, and each call of a kernel costs something.
    let pieceBytes = min(Self.averageChunkBytes, max(512, Int(total) / files.count))
    let kernels = try kernelStages(sample, pieceBytes: pieceBytes)
    let stored = compressedShare(sample)
    progress("kernels measured")
    let write = try writing()
    return result(
      counts: (files.count, entries, total), walk: walk, read: (cached, disk),
      kernels: kernels, stored: stored, write: write)
  }

  /// The bound: all threads share the processor's work; reading from and writing to disks overlap
  /// it.
  private func result(
    counts: (files: Int, entries: Int, bytes: UInt64), walk: Measurement,
    read: (cached: Measurement, disk: Measurement?),
    kernels: [Measurement], stored: Double, write: Measurement
  ) -> RooflineResult {
    func time(_ measurement: Measurement, _ bytes: Double) -> Double {
      bytes / 1e9 / max(measurement.median, 1e-9)
    }
    let bytes = Double(counts.bytes)
    let walkTime = Double(counts.entries) / max(walk.median, 1e-9)
    var seconds = [RooflineResult.StageTime(name: walk.name, seconds: walkTime)]
    var processor = walkTime + time(read.cached, bytes)
    let readings = [read.cached, read.disk].compactMap { $0 }
    for stage in readings + kernels {
      seconds.append(.init(name: stage.name, seconds: time(stage, bytes)))
    }
    for stage in kernels { processor += time(stage, bytes) }
    let writeTime = time(write, bytes * stored)
    seconds.append(.init(name: write.name, seconds: writeTime))
    let bounds = [("the processor", processor), ("writing", writeTime)]
    let bound = bounds.max { $0.1 < $1.1 } ?? ("the processor", processor)
    return RooflineResult(
      files: counts.files, byteCount: counts.bytes, threads: threads, entriesPerSecond: walk,
      stages: readings + kernels + [write], storedShare: stored,
      seconds: seconds, boundSeconds: bound.1, boundBy: bound.0)
  }

  /// Every thread walks the whole tree: their entries together, in a second. And the tree's
  /// entries.
  private func walking() throws -> (Measurement, entries: Int) {
    let entries = try SourceFiles.walk(tree) { _, _ in }
    let rate = Timing.throughput(
      "walk and statx", unit: "entries/s", scale: 1, runs: runs, threads: threads
    ) {
      let sum = Atomic<Int>(0)
      WorkerThreads.run(count: threads, name: "walk") { _ in
        let count = (try? SourceFiles.walk(tree) { _, _ in }) ?? 0
        sum.add(count, ordering: .relaxed)
      }
      let count = sum.load(ordering: .relaxed)
      return (count, UInt64(count / threads))
    }
    return (rate, entries)
  }

  /// All files once, dealt out to the threads one after the other.
  private func reading(
    _ name: String, _ files: [SourceFiles.Entry], dropping: Bool
  ) -> Measurement {
    if !dropping { FileReading.all(files, threads: threads) }
    return Timing.throughput(
      name, runs: runs, threads: threads,
      before: { if dropping { PageCache.drop(files.map(\.path)) } },
      {
        let bytes = FileReading.all(files, threads: threads)
        return (bytes, UInt64(bytes))
      })
  }

  private func kernelStages(_ sample: SharedBytes, pieceBytes: Int) throws -> [Measurement] {
    let sizes = mn_chunk_sizes(
      minimum: UInt32(Self.averageChunkBytes / 4), average: UInt32(Self.averageChunkBytes),
      maximum: UInt32(Self.averageChunkBytes * 4))
    let identifying = try Identifying(
      secret: [UInt8](repeating: 0x5A, count: Int(MN_SECRET_SIZE)),
      tagKey: [UInt8](repeating: 0xA5, count: 32))
    return [
      onAll("chunk", sample) { part in
        guard let base = part.assumingMemoryBound(to: UInt8.self).baseAddress else { return 0 }
        var start = 0
        var hash: UInt64 = 0
        while start < part.count {
          start += mn_chunk_next(sizes, base + start, part.count - start)
          hash = (hash &+ UInt64(start)) &* 0x9E37_79B9_7F4A_7C15
        }
        return hash
      },
      onAll("fingerprint", sample) { part in
        var hash: UInt64 = 0
        Blocks.each(of: part, size: pieceBytes) {
          hash ^= identifying.fingerprint(of: $0).low
        }
        return hash
      },
      onAll("tag", sample) { part in
        var hash: UInt64 = 0
        Blocks.each(of: part, size: pieceBytes) { hash ^= identifying.tag(of: $0).low }
        return hash
      },
      onAll("compress", sample) { UInt64(Self.compressedBytes($0)) },
    ]
  }

  /// Each thread over its own part of the sample.
  private func onAll(
    _ name: String, _ sample: SharedBytes,
    _ body: @Sendable (UnsafeRawBufferPointer) -> UInt64
  ) -> Measurement {
    let part = sampleBytes / threads
    return Timing.throughput(name, runs: runs, threads: threads) {
      let sum = Atomic<UInt64>(0)
      WorkerThreads.run(count: threads, name: "kernel") { index in
        let mine = sample.storage.bytes[(index * part)..<((index + 1) * part)]
        sum.add(body(UnsafeRawBufferPointer(rebasing: mine)) & 0xFFFF_FFFF, ordering: .relaxed)
      }
      return (part * threads, sum.load(ordering: .relaxed))
    }
  }

  private func compressedShare(_ sample: SharedBytes) -> Double {
    let bytes = UnsafeRawBufferPointer(sample.storage.bytes)
    return Double(Self.compressedBytes(bytes)) / Double(bytes.count)
  }

  private static func compressedBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
    let blockSize = 256 << 10
    let target = Buffer(capacity: mn_compress_bound(blockSize))
    let scratch = Buffer(capacity: mn_compress_scratch_size(1))
    var stored = 0
    Blocks.each(of: bytes, size: blockSize) { block in
      let size = Blocks.compress(block, into: target.bytes, level: 1, scratch: scratch.bytes)
      stored += size > 0 ? min(size, block.count) : block.count
    }
    return stored
  }

  /// Each thread writes a file in pieces of 1 MiB and syncs it.
  private func writing() throws -> Measurement {
    let piece = SharedBytes(capacity: 1 << 20)
    GeneratedData.fill(piece.storage.bytes, seed: 9, compressible: 0)
    let failures = Atomic<Int>(0)
    let names = (0..<threads).map { "\(directory)/.muninn-bench-\(getpid())-\($0)" }
    defer { for name in names { unlink(name) } }
    let measured = Timing.throughput("write and sync", runs: runs, threads: threads) {
      WorkerThreads.run(count: threads, name: "write") { index in
        if !write(names[index], piece) { failures.add(1, ordering: .relaxed) }
      }
      return (threads * writeBytes, UInt64(threads * writeBytes))
    }
    guard failures.load(ordering: .relaxed) == 0 else {
      throw BenchError("\(directory) cannot be written to")
    }
    return measured
  }

  private func write(_ name: String, _ piece: SharedBytes) -> Bool {
    unlink(name)
    let flags = O_WRONLY | O_CREAT | O_EXCL
    guard
      let file = try? FileCalls.open(at: AT_FDCWD, name, flags: flags, mode: 0o600, path: name)
    else { return false }
    let bytes = UnsafeRawBufferPointer(piece.storage.bytes)
    for _ in 0..<writeBytes / bytes.count {
      guard (try? FileCalls.write(file.descriptor, bytes, path: name)) != nil else { return false }
    }
    return (try? FileCalls.sync(file.descriptor, path: name)) != nil
  }
}
