import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Reads a window's units while those before them are decoded and written: threads of its own wait
/// for the disk.
final class UnitReader: Sendable {
  /// A unit's blocks as they are stored.
  struct Frames: ~Copyable, Sendable {
    /// Index into the window's units.
    let unit: Int
    /// How many bytes were read, from the first block on; none where they cannot be read.
    let count: Int
    fileprivate let buffer: Buffer

    /// Room for a block that lies so far behind the first one, whether it was read or not. Valid
    /// as long as this lives.
    func frame(at position: Int, count: Int) -> UnsafeMutableRawBufferPointer {
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[position..<(position + count)])
    }
  }

  /// More reads at a time gain nothing: they are long, and the system reads on behind each.
  private static let maximumReaderCount = 16
  /// Buffers grow by whole multiples of this, so that they seldom do.
  private static let bufferGrain = 1 << 20

  private let run: RestoreRun
  private let window: RestoreWindow
  private let read: BoundedQueue<Frames>
  private let buffers: BoundedQueue<Buffer>
  private let readers: [WorkerThread]

  /// What the readers of one window after the other read into: a few units for each thread that
  /// decodes, since a disk that is told to write back what it holds may read nothing for a while.
  static func makeBuffers(threads: Int) -> BoundedQueue<Buffer> {
    let count = max(threads + 2, min(4 * threads, 32))
    let buffers = BoundedQueue<Buffer>(capacity: count)
    for _ in 0..<count { _ = buffers.push(Buffer(capacity: 0)) }
    return buffers
  }

  init(_ window: RestoreWindow, _ run: RestoreRun, _ buffers: BoundedQueue<Buffer>) {
    self.run = run
    self.window = window
    self.buffers = buffers
    let read = BoundedQueue<Frames>(capacity: buffers.capacity)
    self.read = read
    let count = min(run.threads, UnitReader.maximumReaderCount, window.units.count)
    if count == 0 { read.close() }
    let progress = Progress(readers: count)
    readers = (0..<count).map { _ in
      WorkerThread.start(name: "muninn-read") {
        while !run.shouldStop, let buffer = buffers.pop() {
          let next = progress.nextUnit.add(1, ordering: .relaxed).oldValue
          guard next < window.units.count else {
            _ = buffers.push(buffer)
            break
          }
          _ = read.push(UnitReader.frames(of: next, in: window, into: buffer, run))
        }
        if progress.endsLast() { read.close() }
      }
    }
  }

  /// The next unit that was read; nil after the last one.
  func next() -> Frames? { read.pop() }

  /// Its memory is read into again.
  func giveBack(_ frames: consuming Frames) { _ = buffers.push(frames.buffer) }

  /// Returns when nothing more is read. What was read and not taken is gone: only a restore that
  /// stops leaves any.
  func end() {
    if run.shouldStop {
      read.cancel()
      buffers.cancel()
    }
    for reader in readers { reader.join() }
  }

  private static func frames(
    of number: Int, in window: RestoreWindow, into buffer: consuming Buffer, _ run: RestoreRun
  ) -> Frames {
    let unit = window.units[number]
    let container = window.containers[unit.container]
    let ordinals = window.blocks[unit.blocks]
    guard let first = ordinals.first, let last = ordinals.last else {
      return Frames(unit: number, count: 0, buffer: buffer)
    }
    let start = container.directory.blocks[Int(first)].offset
    let end = container.directory.blocks[Int(last)]
    let count = Int(end.offset - start) + Int(end.frameByteCount)
    if buffer.capacity < count {
      buffer = Buffer(capacity: (count + bufferGrain - 1) / bufferGrain * bufferGrain)
    }
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count])
    let name = ObjectName.container(container.id)
    let storage = run.store.storage
    // What goes past the page cache on its way out leaves nothing there on its way in either.
    let file = window.extents[unit.extents].first.flatMap { window.shared[Int($0.entry)] }
    let got =
      file?.isWrittenDirectly(run) == true
      ? try? storage.readOnce(name, at: start, into: target)
      : try? storage.read(name, at: start, into: target)
    run.containerBytesRead.add(UInt64(got ?? 0), ordering: .relaxed)
    return Frames(unit: number, count: got ?? 0, buffer: buffer)
  }
}

/// What a window's readers share.
private final class Progress: Sendable {
  /// The next unit that nobody reads yet.
  let nextUnit = Atomic<Int>(0)
  private let readersLeft: Atomic<Int>

  init(readers: Int) { readersLeft = Atomic(readers) }

  /// A reader ends: whether it is the last one.
  func endsLast() -> Bool {
    readersLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
  }
}
