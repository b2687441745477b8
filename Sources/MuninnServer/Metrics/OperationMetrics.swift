import CoreMetrics
import Muninn

/// What operations count up.
enum OperationMetrics {
  static func count(_ record: OperationRecord) {
    let dimensions = [("kind", record.kind.rawValue), ("outcome", record.outcome.rawValue)]
    Counter(label: "muninn_operations", dimensions: dimensions).increment()
  }

  static func count(_ statistics: BackupStatistics) {
    count("muninn_backup_files", statistics.files)
    count("muninn_backup_bytes_read", statistics.bytesRead)
    count("muninn_backup_bytes_stored", statistics.bytesStored)
  }

  private static func count(_ label: String, _ amount: UInt64) {
    Counter(label: label).increment(by: Int64(clamping: amount))
  }
}

extension ServerCore {
  /// Sets the metrics that have a value at every moment.
  func updateMetrics() async throws {
    ProcessMetrics.update()
    let counts = await operations.counts
    for kind in OperationRecord.Kind.allCases {
      Meter(label: "muninn_operations_running", dimensions: [("kind", kind.rawValue)])
        .set(Int64(counts[kind] ?? 0))
    }
    Meter(label: "muninn_file_systems").set(Int64(try await database.fileSystems().count))
  }
}
