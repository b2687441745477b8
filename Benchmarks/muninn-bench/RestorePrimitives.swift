import CMuninn
import Glibc
import MuninnDisk
import Synchronization

/// What a restore is made of, each measured apart on all threads at once: reading the repository's
/// objects, decompressing, and making the files.
struct RestorePrimitives {
  let repository: String
  let source: String
  let scratch: Scratch
  let threads: Int
  let runs: Int
  /// Whether the repository is read from the disk too.
  var readsDisk = true
  /// Of a larger tree only every so manieth file is made, so that it comes to about this.
  var createdBytes: UInt64 = 512 << 20

  struct Result {
    let readCached: Measurement
    let readDisk: Measurement?
    let decompress: Measurement
    /// In content bytes of the tree, so that small files make it slow.
    let create: Measurement
    var all: [Measurement] { [readCached, readDisk, decompress, create].compactMap { $0 } }
  }

  func measure(sample: SharedBytes) throws -> Result {
    let objects = try SourceFiles.list(repository + "/containers")
    return Result(
      readCached: reading("read repository, page cache", objects, dropping: false),
      readDisk: readsDisk ? reading("read repository, disk", objects, dropping: true) : nil,
      decompress: decompressing(sample),
      create: try creating())
  }

  private func reading(
    _ name: String, _ objects: [SourceFiles.Entry], dropping: Bool
  ) -> Measurement {
    let sizes = objects.map(\.size)
    return Timing.throughput(
      name, runs: runs, threads: threads,
      before: { if dropping { PageCache.drop(objects.map(\.path)) } },
      {
        let next = Atomic<Int>(0)
        WorkerThreads.run(count: threads, name: "read") { _ in
          let buffer = Buffer(capacity: 1 << 20)
          while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < objects.count else { break }
            FileReading.whole(objects[index].path, into: buffer.bytes)
          }
        }
        let bytes = Int(sizes.reduce(0, +))
        return (bytes, UInt64(bytes))
      })
  }

  /// Blocks of 256 KiB of the sample; what did not shrink is copied, as it was stored.
  private func decompressing(_ sample: SharedBytes) -> Measurement {
    let size = 256 << 10
    let bytes = UnsafeRawBufferPointer(sample.storage.bytes)
    var blocks: [(stored: [UInt8], length: Int, isPlain: Bool)] = []
    let target = Buffer(capacity: mn_compress_bound(size))
    let scratch = Buffer(capacity: mn_compress_scratch_size(1))
    Blocks.each(of: bytes, size: size) { block in
      let count = Blocks.compress(block, into: target.bytes, level: 1, scratch: scratch.bytes)
      let isPlain = count == 0 || count >= block.count
      let stored = isPlain ? [UInt8](block) : [UInt8](target.bytes.prefix(count))
      blocks.append((stored, block.count, isPlain))
    }
    let all = blocks
    return Timing.throughput("decompress", runs: runs, threads: threads) {
      let next = Atomic<Int>(0)
      let good = Atomic<UInt64>(0)
      WorkerThreads.run(count: threads, name: "kernel") { _ in
        let back = Buffer(capacity: size)
        while true {
          let index = next.add(1, ordering: .relaxed).oldValue
          guard index < all.count else { break }
          let block = all[index]
          if block.isPlain {
            back.bytes.copyBytes(from: block.stored)
            good.add(1, ordering: .relaxed)
            continue
          }
          let output = back.bytes.assumingMemoryBound(to: UInt8.self).baseAddress
          let isDone = block.stored.withUnsafeBufferPointer {
            mn_decompress($0.baseAddress, $0.count, output, block.length)
          }
          if isDone { good.add(1, ordering: .relaxed) }
        }
      }
      return (bytes.count, good.load(ordering: .relaxed))
    }
  }

  /// The source's directories and files anew, of the same sizes, with their times set; nothing is
  /// synced, as a restore syncs nothing.
  private func creating() throws -> Measurement {
    let plan = try plannedFiles()
    let piece = SharedBytes(capacity: 1 << 20)
    GeneratedData.fill(piece.storage.bytes, seed: 11, compressible: 0)
    var target = ""
    let failures = Atomic<Int>(0)
    let measured = try Timing.throughput(
      "create and write files", runs: runs, threads: threads,
      // The trees stay until the end, as in `EndToEnd`.
      before: { target = try Scratch(below: scratch.path).path },
      {
        let root = target
        for directory in plan.directories { mkdir(root + directory, 0o755) }
        let next = Atomic<Int>(0)
        WorkerThreads.run(count: threads, name: "create") { _ in
          while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < plan.files.count else { break }
            let file = plan.files[index]
            if !Self.create(root + file.path, file.size, piece) {
              failures.add(1, ordering: .relaxed)
            }
          }
        }
        return (Int(plan.byteCount), plan.byteCount)
      })
    guard failures.load(ordering: .relaxed) == 0 else {
      throw BenchError("files cannot be made in \(target)")
    }
    return measured
  }

  private struct Plan {
    var directories: [String] = []
    var files: [SourceFiles.Entry] = []
    var byteCount: UInt64 = 0
  }

  private func plannedFiles() throws -> Plan {
    var plan = Plan()
    let all = try SourceFiles.list(source).reduce(UInt64(0)) { $0 + $1.size }
    let step = Int(all / createdBytes) + 1
    var number = 0
    try SourceFiles.walk(source) { path, status in
      let below = path == source ? "/file" : String(path.dropFirst(source.count))
      if status.kind == .directory { plan.directories.append(below) }
      guard status.kind == .file else { return }
      number += 1
      guard (number - 1) % step == 0 else { return }
      // Holes stay holes.
      let size = min(status.size, status.blocks512 * 512, createdBytes)
      plan.files.append(SourceFiles.Entry(path: below, size: size))
      plan.byteCount += size
    }
    return plan
  }

  private static func create(_ path: String, _ size: UInt64, _ piece: SharedBytes) -> Bool {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
    guard let file = try? FileCalls.open(at: AT_FDCWD, path, flags: flags, mode: 0o644, path: path)
    else { return false }
    var rest = Int(size)
    while rest > 0 {
      let bytes = UnsafeRawBufferPointer(rebasing: piece.storage.bytes.prefix(rest))
      guard (try? FileCalls.write(file.descriptor, bytes, path: path)) != nil else { return false }
      rest -= bytes.count
    }
    let time = timespec(tv_sec: 1_000_000_000, tv_nsec: 0)
    return futimens(file.descriptor, [time, time]) == 0
  }
}

/// Plain reading, with nothing of the engine in it.
enum FileReading {
  /// Reads a file front to back into one buffer again and again; returns its bytes.
  @discardableResult
  static func whole(_ path: String, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let file = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path) else { return 0 }
    var bytes = 0
    while true {
      let count = Glibc.read(file.descriptor, buffer.baseAddress, buffer.count)
      guard count > 0 else { return bytes }
      bytes += count
    }
  }
}
