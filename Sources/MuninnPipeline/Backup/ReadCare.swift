internal import MuninnDisk
internal import Synchronization

/// What keeps a backup from being felt: a rate of reading, a share of the processors.
final class ReadLimits: Sendable {
  private let bytesPerSecond: UInt64?
  private let cpuPercent: UInt64?
  private let cancellation: Cancellation
  /// The moment of the monotonic clock from which on the rate allows to read again.
  private let free: Monitor<UInt64>

  init(_ options: BackupOptions, cancellation: Cancellation) {
    bytesPerSecond = options.readRate
    cpuPercent = options.cpuPercent.map { UInt64(min(max($0, 1), 100)) }
    self.cancellation = cancellation
    free = Monitor(Machine.monotonicNanoseconds())
  }

  /// Waits until bytes that were just read fit the rate. A quarter of a second's worth may come at
  /// once.
  func didRead(_ count: Int) {
    guard let rate = bytesPerSecond, rate > 0, count > 0 else { return }
    let cost = UInt64(Double(count) / Double(rate) * 1e9)
    let now = Machine.monotonicNanoseconds()
    let until = free.withLock { free in
      free = max(free, now &- min(now, 250_000_000)) + cost
      return free
    }
    sleep(until: until)
  }

  /// Waits as long as the share of the processors says, after a piece of work.
  func pause(since mark: inout WorkMark) {
    guard let percent = cpuPercent, percent < 100 else { return }
    let used = Machine.threadNanoseconds() &- mark.cpu
    sleep(until: mark.wall + used * 100 / percent)
    mark = WorkMark()
  }

  private func sleep(until moment: UInt64) {
    while !cancellation.isCancelled {
      let now = Machine.monotonicNanoseconds()
      if now >= moment { return }
      Machine.sleep(nanoseconds: min(moment - now, 100_000_000))
    }
  }
}

/// When a thread began a piece of work, by both clocks.
struct WorkMark {
  let cpu = Machine.threadNanoseconds()
  let wall = Machine.monotonicNanoseconds()
}

/// Keeps what is read once out of the page cache where it was not in it, so that a backup does not
/// push out what others use. Belongs to one thread.
///
/// Small files: while they are found cached, one of 16 is asked about, so that a warm tree costs
/// next to nothing; after one that is not, each.
struct SmallFileCare {
  private static let cachedRun = 16

  private var isOn: Bool
  private var found = SmallFileCare.cachedRun
  private var skipped = 0

  init(isOn: Bool) { self.isOn = isOn }

  /// Whether the file is to be dropped from the cache after it was read; asked before.
  mutating func isToBeDropped(_ descriptor: CInt) -> Bool {
    guard isOn else { return false }
    if found >= SmallFileCare.cachedRun, skipped < SmallFileCare.cachedRun - 1 {
      skipped += 1
      return false
    }
    skipped = 0
    guard let pages = FileCalls.cachedPages(of: descriptor) else {
      isOn = false
      return false
    }
    found = pages == 0 ? 0 : found + 1
    return pages == 0
  }
}

/// The same for one large file, window by window.
///
/// A window is asked about before anything of the one before it is read, so that what the system
/// reads ahead is not taken for what was there.
struct LargeFileCare {
  private static let windowByteCount: UInt64 = 16 << 20

  private let descriptor: CInt
  private var isOn: Bool
  /// The window that is being read.
  private var window: UInt64 = 0
  private var isDropped = false
  private var isNextDropped = false

  init(_ descriptor: CInt, isOn: Bool) {
    self.descriptor = descriptor
    self.isOn = isOn
    isDropped = ask(0)
    isNextDropped = ask(1)
  }

  private mutating func ask(_ number: UInt64) -> Bool {
    guard isOn else { return false }
    let size = LargeFileCare.windowByteCount
    guard let pages = FileCalls.cachedPages(of: descriptor, at: number * size, count: size) else {
      isOn = false
      return false
    }
    return pages == 0
  }

  /// Called with each range once it was read, in order.
  mutating func didRead(_ range: Range<UInt64>) {
    guard isOn else { return }
    let size = LargeFileCare.windowByteCount
    var at = range.lowerBound
    while at < range.upperBound {
      let number = at / size
      if number != window {
        isDropped = number == window + 1 ? isNextDropped : ask(number)
        isNextDropped = ask(number + 1)
        window = number
      }
      let end = min(range.upperBound, (number + 1) * size)
      // From the start of the window: the system keeps a large folio that a range covers in part.
      if isDropped {
        FileCalls.dropPages(of: descriptor, at: number * size, count: end - number * size)
      }
      at = end
    }
  }
}

extension FileStatus {
  /// Whether this is another file than `before`, or it was written to, or got other metadata. One
  /// whose name was taken meanwhile, as by an upload that is renamed to it, is whole as it was.
  func isOther(than before: FileStatus) -> Bool {
    kind != before.kind || inode != before.inode || size != before.size
      || modifiedNanoseconds != before.modifiedNanoseconds
      || (changedNanoseconds != before.changedNanoseconds && linkCount > 0)
  }
}
