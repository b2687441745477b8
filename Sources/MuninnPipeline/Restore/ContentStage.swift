import MuninnDisk
import MuninnFormat
import MuninnStore
import Synchronization

/// Takes what was read of a window until nothing is left, decodes and verifies it, and writes what
/// the files need of it; then makes what needs no container. Belongs to one thread.
final class ContentStage {
  private let run: RestoreRun
  private let window: RestoreWindow
  private var plain: PlainStage
  private let reader: UnitReader
  private var blocks = UnitBlocks()
  private let behind: WriteBehind
  private var extents: [PlannedExtent] = []
  /// Files that the unit has all chunks of, and which of `extents` are theirs.
  private var whole: [(entry: Int, extents: Range<Int>)] = []
  private var identities: [RestoredIdentity] = []

  init(
    _ window: RestoreWindow, _ run: RestoreRun, _ reader: UnitReader, _ behind: WriteBehind
  ) {
    self.window = window
    self.run = run
    self.reader = reader
    self.behind = behind
    plain = PlainStage(run: run)
  }

  func work() {
    while !run.shouldStop, let read = reader.next() { restore(read) }
    let batches = (window.plain.count + PlainStage.batchCount - 1) / PlainStage.batchCount
    while !run.shouldStop {
      let task = window.nextTask.add(1, ordering: .relaxed).oldValue
      if task < batches {
        let first = task * PlainStage.batchCount
        let batch = window.plain[first...].prefix(PlainStage.batchCount)
        identities += plain.make(batch, of: window)
      } else if task < batches + window.ended.count {
        keep(window.ended[task - batches].complete(1, run))
      } else {
        break
      }
    }
    window.identities.withLock { $0.append(contentsOf: identities) }
    identities.removeAll()
  }

  private func keep(_ identity: RestoredIdentity?) {
    if let identity { identities.append(identity) }
  }

  private func restore(_ read: consuming UnitReader.Frames) {
    let unit = window.units[read.unit]
    let container = window.containers[unit.container]
    run.pace?.wait(for: UInt64(unit.rawByteCount), unless: { run.shouldStop })
    decode(read, unit, container)
    reader.giveBack(read)
    whole.removeAll(keepingCapacity: true)
    extents.removeAll(keepingCapacity: true)
    extents.append(contentsOf: window.extents[unit.extents])
    // Everything is in memory, so the files come one after the other.
    extents.sort { $0.entry != $1.entry ? $0.entry < $1.entry : $0.offset < $1.offset }
    if let first = extents.first {
      run.counters.setCurrentPath(window.entries[Int(first.entry)].entry.path)
    }
    var start = 0
    while start < extents.count, !run.shouldStop {
      let entry = Int(extents[start].entry)
      var end = start + 1
      while end < extents.count, extents[end].entry == extents[start].entry { end += 1 }
      if let file = window.shared[entry] {
        writePart(of: file, start..<end, container)
        keep(file.complete(end - start, run))
      } else if let sound = sound(start..<end, of: window.entries[entry], container) {
        whole.append((entry, sound))
        if whole.count == CreationTurn.fileCount { writeWhole() }
      }
      start = end
    }
    if !run.shouldStop { writeWhole() }
  }

  // MARK: Reading

  private func decode(
    _ read: borrowing UnitReader.Frames, _ unit: ContentUnit, _ container: OpenContainer
  ) {
    let directory = container.directory
    let ordinals = window.blocks[unit.blocks]
    blocks.begin(rawByteCount: unit.rawByteCount, ordinals, directory)
    guard let first = ordinals.first else { return }
    let start = directory.blocks[Int(first)].offset
    let name = ObjectName.container(container.id)
    for ordinal in ordinals {
      let record = directory.blocks[Int(ordinal)]
      let position = Int(record.offset - start)
      let frame = read.frame(at: position, count: Int(record.frameByteCount))
      do throws(StoreError) {
        if read.count < position + frame.count {
          // What cannot be read at once is read block by block, so that only the bad one is lost.
          try readAlone(name, record, into: frame)
        }
        try blocks.decode(Int(ordinal), UnsafeRawBufferPointer(frame), container)
      } catch {
        blocks.lose(Int(ordinal), directory, error.description)
      }
    }
  }

  private func readAlone(
    _ name: String, _ record: BlockRecord, into frame: UnsafeMutableRawBufferPointer
  ) throws(StoreError) {
    let got: Int
    do throws(DiskError) {
      got = try run.store.storage.read(name, at: record.offset, into: frame)
    } catch {
      throw StoreError(error, object: name)
    }
    guard got == frame.count else {
      throw StoreError(
        .damaged, "\(got) bytes at offset \(record.offset) where \(frame.count) belong",
        object: name)
    }
  }

  // MARK: Writing

  /// Makes the files of `whole`, then writes and completes one after the other.
  private func writeWhole() {
    plain.make(files: whole.map(\.entry), of: window)
    for (file, made) in zip(whole, plain.made) {
      guard let made else { continue }
      let planned = window.entries[file.entry]
      let identity = plain.fill(planned, made) { () throws(DiskError) in
        var end: UInt64 = 0
        try eachStretch(file.extents) { (stretch) throws(DiskError) in
          try write(stretch, to: made.descriptor, planned.entry.path)
          end = stretch.offset + UInt64(stretch.bytes.count)
        }
        return end
      }
      keep(identity)
    }
    whole.removeAll(keepingCapacity: true)
  }

  private func writePart(
    of file: SharedFile, _ range: Range<Int>, _ container: OpenContainer
  ) {
    if file.hasFailed { return }
    var sound = range
    if let losses = file.planned.losses {
      sound = keepSound(range, container, losses)
    } else if let problem = verify(range, container) {
      file.fail(problem)
      return
    }
    do throws(DiskError) {
      let plain = try file.handle(run)
      let target = file.directHandle(run).map {
        WriteBehind.Target(file: file, direct: $0, plain: plain)
      }
      try eachStretch(sound) { (stretch) throws(DiskError) in
        if let target, try hand(stretch, to: target) { return }
        try write(stretch, to: plain.descriptor, file.planned.entry.path)
      }
    } catch {
      file.fail(error, run)
    }
  }

  /// Has a stretch of a large file written behind this thread: its whole pages, and those that it
  /// shares with stretches that came before it. False, and nothing done, where it is too short.
  private func hand(
    _ stretch: Stretch, to target: WriteBehind.Target
  ) throws(DiskError) -> Bool {
    let (bytes, offset) = (stretch.bytes, stretch.offset)
    guard let pages = run.direct.pages(of: bytes.count, at: offset) else { return false }
    func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(rebasing: bytes[range])
    }
    let head = try target.file.join(part(0..<pages.lowerBound), at: offset, target.plain, run)
    let tail = try target.file.join(
      part(pages.upperBound..<bytes.count), at: offset + UInt64(pages.upperBound), target.plain,
      run)
    let start = offset + UInt64(pages.lowerBound) - UInt64(head?.count ?? 0)
    (head ?? []).withUnsafeBytes { head in
      (tail ?? []).withUnsafeBytes { tail in
        behind.write([head, part(pages), tail], at: start, of: target)
      }
    }
    run.countWritten(UInt64(bytes.count))
    return true
  }

  /// Which extents of a whole file are written; nil where it is given up, since one is not what it
  /// should be.
  private func sound(
    _ range: Range<Int>, of planned: PlannedEntry, _ container: OpenContainer
  ) -> Range<Int>? {
    if let losses = planned.losses { return keepSound(range, container, losses) }
    guard let problem = verify(range, container) else { return range }
    FileCompletion.giveUp(planned, isMade: planned.isMade, problem, run)
    return nil
  }

  /// Moves the extents whose chunks are what they should be to the front of the range, and returns
  /// where those are.
  private func keepSound(
    _ range: Range<Int>, _ container: OpenContainer, _ losses: RestoreLosses
  ) -> Range<Int> {
    var end = range.lowerBound
    for index in range {
      let extent = extents[index]
      if let problem = blocks.verify(extent.slot, container, run.store.identifying) {
        losses.add(extent.offset, count: UInt64(extent.length), reason: problem)
      } else {
        extents[end] = extent
        end += 1
      }
    }
    return range.lowerBound..<end
  }

  /// Says what is wrong with the first chunk that is not what it should be.
  private func verify(_ range: Range<Int>, _ container: OpenContainer) -> String? {
    for extent in extents[range] {
      if let problem = blocks.verify(extent.slot, container, run.store.identifying) {
        return problem
      }
    }
    return nil
  }

  /// Chunks that lie side by side both here and in the file.
  private struct Stretch {
    let bytes: UnsafeRawBufferPointer
    /// In the file.
    let offset: UInt64
  }

  private func eachStretch(
    _ range: Range<Int>, _ body: (Stretch) throws(DiskError) -> Void
  ) throws(DiskError) {
    var index = range.lowerBound
    while index < range.upperBound {
      let first = extents[index]
      let start = blocks.start(of: first.slot)
      var count = Int(first.length)
      index += 1
      while index < range.upperBound, extents[index].offset == first.offset + UInt64(count),
        blocks.start(of: extents[index].slot) == start + count
      {
        count += Int(extents[index].length)
        index += 1
      }
      try body(Stretch(bytes: blocks.bytes(start, count), offset: first.offset))
    }
  }

  private func write(
    _ stretch: Stretch, to descriptor: CInt, _ path: [UInt8]
  ) throws(DiskError) {
    try FileCalls.write(descriptor, at: stretch.offset, stretch.bytes, path: displayPath(path))
    run.countWritten(UInt64(stretch.bytes.count))
  }
}
