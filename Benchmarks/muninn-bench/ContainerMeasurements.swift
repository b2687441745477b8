import CMuninn
import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Writing and reading of containers, through the same types as backup and restore.
struct ContainerMeasurements {
  private struct Chunk {
    let start: Int
    let length: Int
  }

  let data: SharedBytes
  let threads: Int
  let level: Int
  let runs: Int
  let scratch: Scratch
  private let average: UInt32
  /// Each thread's chunks, in the order of the data.
  private let parts: [[Chunk]]

  init(
    data: SharedBytes, average: UInt32, threads: Int, level: Int, runs: Int, scratch: Scratch
  ) throws {
    self.data = data
    self.average = average
    self.threads = threads
    self.level = level
    self.runs = runs
    self.scratch = scratch
    let sizes = mn_chunk_sizes(minimum: average / 4, average: average, maximum: average * 4)
    let bytes = UnsafeRawBufferPointer(data.storage.bytes)
    guard let base = bytes.assumingMemoryBound(to: UInt8.self).baseAddress else {
      throw BenchError("there is no data")
    }
    var parts = [[Chunk]](repeating: [], count: threads)
    var start = 0
    while start < bytes.count {
      let length = mn_chunk_next(sizes, base + start, bytes.count - start)
      parts[min(start / (bytes.count / threads + 1), threads - 1)]
        .append(Chunk(start: start, length: length))
      start += length
    }
    self.parts = parts
  }

  /// Containers of a repository, and the identities' sum, to compare readings with.
  private struct Written: Sendable {
    var containers: Set<Identifier> = []
    var storedBytes: UInt64 = 0
    var hash: UInt64 = 0
  }

  func measure(_ add: (Measurement) -> Void) throws {
    let path = scratch.file("repository")
    var store = try create(path)
    var written = Written()
    let write = try Timing.throughput(
      "write: compress, write, sync", runs: runs, threads: threads,
      before: {
        Scratch.remove(path)
        store = try create(path)
      },
      {
        written = try self.write(to: store)
        return (data.storage.capacity, written.hash)
      })
    add(write)
    add(
      Measurement(
        name: "stored share", unit: "of raw",
        values: [Double(written.storedBytes) / Double(data.storage.capacity)],
        resultHash: write.resultHash))
    let files = try SourceFiles.list(path + "/containers").map(\.path)
    let containers = written.containers.sorted()
    for (name, isDropped, verifies) in [
      ("read: open, read, decode", false, false),
      ("read: open, read, decode, verify", false, true),
      ("read from disk: open, read, decode, verify", true, true),
    ] {
      add(
        try Timing.throughput(
          name, runs: runs, threads: threads,
          before: { if isDropped { PageCache.drop(files) } },
          { try read(containers, of: path, verifies: verifies) }))
    }
  }

  private func create(_ path: String) throws -> Store {
    try Store.create(
      in: try LocalStorage(path: path, create: true), averageChunkSize: average, isShared: false)
  }

  private func write(to store: Store) throws -> Written {
    let session = try WriteSession(store: store)
    defer { session.end() }
    let result = Mutex(Written())
    let failure = Mutex<StoreError?>(nil)
    WorkerThreads.run(count: threads, name: "write") { index in
      let writer = session.makeContainerWriter(isManifest: false, level: level)
      var mine = Written()
      do throws(StoreError) {
        for chunk in parts[index] {
          mine.containers.insert(try writer.nextLocation().container)
          let bytes = UnsafeRawBufferPointer(
            rebasing: data.storage.bytes[chunk.start..<(chunk.start + chunk.length)])
          let identity = store.identifying.identity(of: bytes)
          mine.hash ^= checksum(bytes)
          try writer.append(bytes, identity: identity)
        }
        try writer.finish()
      } catch {
        writer.discard()
        failure.withLock { $0 = error }
      }
      result.withLock { [mine] all in
        all.containers.formUnion(mine.containers)
        all.hash ^= mine.hash
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
    try session.waitForSyncs()
    return result.withLock { all in
      all.storedBytes = session.bytesStored
      return all
    }
  }

  /// The hash is that of the writing where chunks are verified, else of the blocks' sizes.
  private func read(
    _ containers: [Identifier], of path: String, verifies: Bool
  ) throws -> (amount: Int, hash: UInt64) {
    let store = try Store.open(in: try LocalStorage(path: path, create: false))
    let bytes = Atomic<Int>(0)
    let hash = Atomic<UInt64>(0)
    let failure = Mutex<StoreError?>(nil)
    WorkerThreads.deal(containers.count, to: threads, name: "read") { next in
      do throws(StoreError) {
        while let index = next() {
          let read = try Self.read(containers[index], of: store, verifies: verifies)
          bytes.add(read.bytes, ordering: .relaxed)
          hash.bitwiseXor(read.hash, ordering: .relaxed)
        }
      } catch {
        failure.withLock { $0 = error }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
    return (bytes.load(ordering: .relaxed), hash.load(ordering: .relaxed))
  }

  private static func read(
    _ id: Identifier, of store: Store, verifies: Bool
  ) throws(StoreError) -> (bytes: Int, hash: UInt64) {
    let container = try store.openContainer(id)
    let directory = container.directory
    let name = ObjectName.container(id)
    var bytes = 0
    var hash: UInt64 = 0
    let largest = directory.blocks.map { Int($0.rawByteCount) }.max() ?? 0
    let target = Buffer(capacity: largest)
    for (ordinal, block) in directory.blocks.enumerated() {
      let frame = try store.read(name, at: block.offset, count: Int(block.frameByteCount))
      let count = try decode(container, ordinal, frame, into: target.bytes)
      bytes += count
      guard verifies else {
        hash ^= UInt64(count) &* UInt64(ordinal + 1)
        continue
      }
      var start = 0
      for slot in Int(block.firstSlot)..<Int(block.firstSlot + block.chunkCount) {
        let end = start + Int(directory.lengths[slot])
        guard end <= count else { throw StoreError(.damaged, "a short block", object: name) }
        let chunk = UnsafeRawBufferPointer(rebasing: target.bytes[start..<end])
        guard store.identifying.identity(of: chunk) == directory.identities[slot] else {
          throw StoreError(.damaged, "slot \(slot) is another chunk", object: name)
        }
        hash ^= checksum(chunk)
        start = end
      }
    }
    return (bytes, hash)
  }

  private static func decode(
    _ container: OpenContainer, _ ordinal: Int, _ frame: [UInt8],
    into target: UnsafeMutableRawBufferPointer
  ) throws(StoreError) -> Int {
    var result: Result<Int, StoreError> = .success(0)
    frame.withUnsafeBytes { bytes in
      do throws(StoreError) {
        result = .success(try container.decodeBlock(ordinal, frame: bytes, into: target))
      } catch {
        result = .failure(error)
      }
    }
    return try result.get()
  }
}
