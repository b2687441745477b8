import Glibc
import MuninnDisk
import MuninnFormat
import MuninnStore

/// Reserves the space of one file in as few pieces as its holes allow, before content comes.
struct SpaceReservation {
  private let descriptor: CInt
  private let path: [UInt8]
  private var start: UInt64 = 0
  private var end: UInt64 = 0
  /// Whether the file system reserves at all, as far as it was asked.
  private(set) var isSupported = true

  init(descriptor: CInt, path: [UInt8]) {
    self.descriptor = descriptor
    self.path = path
  }

  /// Takes the file's next extent.
  mutating func add(_ extent: Extent) throws(DiskError) {
    let (next, overflows) = end.addingReportingOverflow(extent.byteCount)
    // A length that no file can have is refused when the content is planned.
    guard !overflows else { return }
    if case .hole = extent {
      try finish()
      start = next
    }
    end = next
  }

  /// Reserves what has been taken since the last hole.
  mutating func finish() throws(DiskError) {
    guard isSupported, end > start else { return }
    isSupported = try FileCalls.allocate(
      descriptor, at: start, end - start, path: displayPath(path))
    start = end
  }
}

extension PlanStage {
  /// Makes a file, in path order, and reserves the space that `describe` tells of, where that is
  /// asked for or the file is to be written directly. Returns whether the file was made.
  func reserve(
    _ planned: PlannedEntry, _ describe: (inout SpaceReservation) throws(DiskError) -> Void
  ) -> Bool {
    // What a repair has marked has holes where content is lost.
    let isDirect = planned.losses == nil && run.direct.isFor(planned.entry)
    guard run.defragments || isDirect, planned.placement.isNew, !planned.entry.isDamaged
    else { return false }
    let path = planned.entry.path
    var isMade = false
    do throws(DiskError) {
      let directory = try run.tree.handle(planned.directory)
      let file = try NewEntry.open(
        at: directory.descriptor, making: planned, run, flags: O_WRONLY, mode: 0o600)
      isMade = true
      var reservation = SpaceReservation(descriptor: file.descriptor, path: path)
      try describe(&reservation)
      try reservation.finish()
      // Direct writes to space that is still to be found wait for each other.
      if !reservation.isSupported { run.direct.noteUnsupported() }
    } catch {
      // Whoever writes the file meets the same trouble and reports it.
      run.stopIfTargets(error)
    }
    return isMade
  }
}

extension ChunkReader {
  /// The extents of one page of a long file.
  func extents(of leaf: ChunkReference) throws(StoreError) -> [Extent] {
    let bytes = try read(leaf)
    do {
      return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try ExtentPage.decode(raw)
      }
    } catch {
      throw StoreError(error, object: ObjectName.container(leaf.location.container))
    }
  }
}
