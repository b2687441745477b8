import MuninnDisk
import MuninnFormat
import Synchronization

/// Has the target's disk write while files are still being restored, where the restore is to be
/// synced: the disk would idle until the sync at the end, and then the processor.
final class EarlySync: Sendable {
  /// How often it looks, and how much has to be new for a sync to be worth its commit. What was
  /// written past the page cache counts too: it may wait in a cache of the device.
  private static let intervalNanoseconds: Int64 = 100_000_000
  private static let leastByteCount: UInt64 = 32 << 20

  private let isOver = Monitor(false)
  private let thread: WorkerThread

  /// Works until `end`. A failure ends the restore: the kernel tells of lost pages once, and the
  /// sync at the end would not hear of them again.
  init(_ run: RestoreRun) {
    thread = WorkerThread.start(name: "muninn-flush") { [isOver] in
      var synced: UInt64 = 0
      while !isOver.wait(nanoseconds: Self.intervalNanoseconds, until: { $0 }) {
        let written = run.bytesWritten.load(ordering: .relaxed)
        guard written &- synced >= Self.leastByteCount else { continue }
        synced = written
        do throws(DiskError) {
          try FileCalls.syncFileSystem(of: run.tree.root.descriptor, path: "the restored tree")
        } catch {
          run.stop(PipelineError(error))
        }
      }
    }
  }

  func end() {
    isOver.update { $0 = true }
    thread.join()
  }
}
