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

  struct Result {
    let readCached: Measurement
    let readDisk: Measurement?
    let decompress: Measurement
    let target: TargetPrimitives.Result
    var all: [Measurement] {
      [
        readCached, readDisk, decompress, target.small, target.large, target.largeAndCompanion,
      ].compactMap { $0 }
    }
  }

  func measure(sample: SharedBytes) throws -> Result {
    let objects = try SourceFiles.list(repository + "/containers")
    return Result(
      readCached: reading("read repository, page cache", objects, dropping: false),
      readDisk: readsDisk ? reading("read repository, disk", objects, dropping: true) : nil,
      decompress: decompressing(sample),
      target: try TargetPrimitives(
        source: source, scratch: scratch, threads: threads, runs: runs,
        companion: readsDisk ? companion(reading: objects) : nil
      ).measure())
  }

  /// A restore reads the repository while it writes, often from the same disk: how much of its
  /// throughput either has then is measured, not reckoned.
  private func companion(
    reading objects: [SourceFiles.Entry]
  ) -> TargetPrimitives.Companion {
    let threads = threads
    return TargetPrimitives.Companion(
      prepare: { PageCache.drop(objects.map(\.path)) },
      run: { share in
        let wanted = Double(objects.reduce(0) { $0 + $1.size }) * share
        var count = 0
        var byteCount = 0.0
        while count < objects.count, byteCount < wanted {
          byteCount += Double(objects[count].size)
          count += 1
        }
        FileReading.all(Array(objects.prefix(count)), threads: threads)
      })
  }

  private func reading(
    _ name: String, _ objects: [SourceFiles.Entry], dropping: Bool
  ) -> Measurement {
    Timing.throughput(
      name, runs: runs, threads: threads,
      before: { if dropping { PageCache.drop(objects.map(\.path)) } },
      {
        let bytes = FileReading.all(objects, threads: threads)
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
      let good = Atomic<UInt64>(0)
      WorkerThreads.deal(all.count, to: threads, name: "kernel") { next in
        let back = Buffer(capacity: size)
        while let index = next() {
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
}

/// Plain reading, with nothing of the engine in it.
enum FileReading {
  /// Reads all files, on all threads at once; returns their bytes.
  @discardableResult
  static func all(_ files: [SourceFiles.Entry], threads: Int) -> Int {
    let sum = Atomic<Int>(0)
    WorkerThreads.deal(files.count, to: threads, name: "read") { next in
      let buffer = Buffer(capacity: 1 << 20)
      while let index = next() {
        let count = whole(files[index].path, into: buffer.bytes)
        sum.add(count, ordering: .relaxed)
      }
    }
    return sum.load(ordering: .relaxed)
  }

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
