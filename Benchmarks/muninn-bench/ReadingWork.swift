import CMuninn
import CReference
import Glibc
import MuninnDisk
import Synchronization

/// What is read, and how it is hashed: alike for every way.
struct ReadingWork: Sendable {
  static let smallBytes = 1 << 20
  /// As much as a backup reads of a large file at a time.
  static let pieceBytes = 4 << 20

  struct Piece: Sendable {
    let file: Int
    let offset: Int
    let count: Int
  }

  let paths: [String]
  let sizes: [Int]
  /// All files, in order, cut for several threads.
  let pieces: [Piece]

  init(files: [SourceFiles.Entry]) {
    paths = files.map(\.path)
    sizes = files.map { Int(clamping: $0.size) }
    pieces = files.enumerated().flatMap { index, file in
      stride(from: 0, to: Int(clamping: file.size), by: Self.pieceBytes).map { offset in
        let count = min(Self.pieceBytes, Int(clamping: file.size) - offset)
        return Piece(file: index, offset: offset, count: count)
      }
    }
  }

  /// The same whatever the order of the pieces.
  static func hash(_ bytes: UnsafeRawBufferPointer, piece: Int) -> UInt64 {
    let sum = mn_checksum(bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count)
    return sum &* (UInt64(piece) &* 2 &+ 1)
  }

  /// Deals numbers below `count` out to threads and sums what `body` makes of them. The first
  /// thing that goes wrong ends it.
  static func deal(
    _ count: Int, threads: Int, step: Int = 1,
    _ body: @Sendable (_ next: () -> Range<Int>?) throws -> UInt64
  ) throws -> UInt64 {
    let position = Atomic<Int>(0)
    let sum = Atomic<UInt64>(0)
    let failure = Mutex<BenchError?>(nil)
    WorkerThreads.run(count: threads, name: "read") { _ in
      do {
        let mine = try body {
          let start = position.add(step, ordering: .relaxed).oldValue
          return start < count ? start..<min(start + step, count) : nil
        }
        sum.wrappingAdd(mine, ordering: .relaxed)
      } catch {
        failure.withLock { $0 = $0 ?? BenchError("\(error)") }
        position.store(count, ordering: .relaxed)
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
    return sum.load(ordering: .relaxed)
  }
}

/// One way of reading files. Returns the hash of all that was read.
protocol ReadingWay: Sendable {
  var name: String { get }
  /// Whether it does nothing but read, and so can be the choice.
  var isChoice: Bool { get }
  func read(_ work: ReadingWork) throws -> UInt64
}

/// A descriptor that stays open while its pieces are read.
private struct CurrentFile: ~Copyable {
  private var index = -1
  private(set) var descriptor: CInt = -1

  deinit { if descriptor >= 0 { close(descriptor) } }

  mutating func open(_ file: Int, _ path: String, _ opening: (String) -> CInt) throws {
    if file == index { return }
    if descriptor >= 0 { close(descriptor) }
    descriptor = opening(path)
    index = file
    guard descriptor >= 0 else {
      index = -1
      throw BenchError("\(path) cannot be opened: error \(descriptor < -1 ? -descriptor : errno)")
    }
  }
}

/// Ways for large files: pieces of 4 MiB, dealt out to threads.
struct LargeWay: ReadingWay {
  enum Kind: String {
    case read
    case map = "mmap"
    case direct = "O_DIRECT"
    case uncached = "RWF_DONTCACHE"
  }

  let kind: Kind
  let threads: Int
  let isChoice = true

  var name: String { "\(kind.rawValue), \(threads) thread\(threads == 1 ? "" : "s")" }

  /// Simplest first.
  static func all(threads: [Int]) -> [any ReadingWay] {
    [Kind.read, .uncached, .map, .direct].flatMap { kind in
      threads.map { LargeWay(kind: kind, threads: $0) }
    }
  }

  func read(_ work: ReadingWork) throws -> UInt64 {
    try ReadingWork.deal(work.pieces.count, threads: threads) { next in
      var file = CurrentFile()
      let buffer = Buffer(capacity: ReadingWork.pieceBytes)
      var sum: UInt64 = 0
      while let range = next() {
        for index in range {
          let piece = work.pieces[index]
          try file.open(piece.file, work.paths[piece.file], opened)
          if kind == .map {
            sum &+= try mapped(file.descriptor, piece, index)
            continue
          }
          let got = try fill(buffer.bytes, file.descriptor, piece)
          let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<got])
          sum &+= ReadingWork.hash(bytes, piece: index)
        }
      }
      return sum
    }
  }

  private func opened(_ path: String) -> CInt {
    if kind == .direct { return reference_open_direct(path) }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    if descriptor >= 0 { posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL) }
    return descriptor
  }

  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, _ descriptor: CInt, _ piece: ReadingWork.Piece
  ) throws -> Int {
    var filled = 0
    while filled < piece.count {
      // O_DIRECT wants whole sectors, also where the file ends.
      let wanted = kind == .direct ? buffer.count - filled : piece.count - filled
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...].prefix(wanted))
      guard let base = rest.baseAddress else { break }
      let offset = Int64(piece.offset + filled)
      let got =
        kind == .uncached
        ? reference_read_uncached(descriptor, base, rest.count, offset)
        : pread(descriptor, base, rest.count, off_t(offset))
      guard got >= 0 else {
        throw BenchError("error \(kind == .uncached ? -got : Int(errno)) while reading")
      }
      if got == 0 { break }
      filled += got
    }
    return min(filled, piece.count)
  }

  private func mapped(
    _ descriptor: CInt, _ piece: ReadingWork.Piece, _ index: Int
  ) throws -> UInt64 {
    let base = mmap(nil, piece.count, PROT_READ, MAP_PRIVATE, descriptor, off_t(piece.offset))
    guard let base, base != MAP_FAILED else { throw BenchError("error \(errno) of mmap") }
    defer { munmap(base, piece.count) }
    madvise(base, piece.count, MADV_SEQUENTIAL)
    return ReadingWork.hash(UnsafeRawBufferPointer(start: base, count: piece.count), piece: index)
  }
}

/// Ways for small files, by path: one call after the other on threads, or batches in a ring.
struct SmallWay: ReadingWay {
  enum Kind {
    case plain
    /// With the other calls that a backup makes of each file: statx twice, and listxattr.
    case backup
    case ring(depth: Int)
  }

  let kind: Kind
  let threads: Int

  var isChoice: Bool {
    if case .backup = kind { false } else { true }
  }

  var name: String {
    let suffix = "\(threads) thread\(threads == 1 ? "" : "s")"
    switch kind {
    case .plain: return "open, read, close, \(suffix)"
    case .backup: return "the same with statx and xattrs, \(suffix)"
    case .ring(let depth): return "io_uring, \(depth) files deep, \(suffix)"
    }
  }

  static func all(threads: [Int], depth: Int) -> [any ReadingWay] {
    [Kind.plain, .ring(depth: depth), .backup].flatMap { kind in
      threads.map { SmallWay(kind: kind, threads: $0) }
    }
  }

  func read(_ work: ReadingWork) throws -> UInt64 {
    if case .ring(let depth) = kind {
      return try RingReading(depth: depth, threads: threads).read(work)
    }
    return try ReadingWork.deal(work.paths.count, threads: threads, step: 16) { next in
      let buffer = Buffer(capacity: ReadingWork.smallBytes + 1)
      var sum: UInt64 = 0
      while let range = next() {
        for index in range {
          let path = work.paths[index]
          let file = try FileCalls.openForReading(at: AT_FDCWD, path, path: path)
          if case .backup = kind {
            _ = try FileCalls.status(of: file.descriptor, path: path)
            _ = try FileCalls.extendedAttributes(of: file.descriptor, path: path)
          }
          // One byte more than the size, so that growth would be seen; a short read ends it.
          let wanted = min(work.sizes[index] + 1, buffer.capacity)
          let got = Glibc.read(file.descriptor, buffer.bytes.baseAddress, wanted)
          guard got >= 0 else { throw BenchError("\(path) cannot be read: error \(errno)") }
          if case .backup = kind { _ = try FileCalls.status(of: file.descriptor, path: path) }
          let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<got])
          sum &+= ReadingWork.hash(bytes, piece: index)
        }
      }
      return sum
    }
  }
}
