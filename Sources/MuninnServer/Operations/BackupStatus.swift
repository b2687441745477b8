import Muninn

/// The configuration item `Raven/Backup/Status`.
package struct BackupStatus: Sendable {
  package static let itemName = "Raven/Backup/Status"
  private static let itemKey = itemName.lowercased()

  /// Whether a configuration item of that name is the status.
  static func isName(_ name: String) -> Bool { name.lowercased() == itemKey }

  package struct Message: Sendable {
    package enum Severity: String, Sendable {
      case informational = "Informational"
      case error = "Error"
    }

    package let text: String
    package var details: String?
    package let time: Timestamp
    package let severity: Severity

    package init(
      _ severity: Severity, _ text: String, details: String? = nil, time: Timestamp = .now
    ) {
      self.text = text
      self.details = details
      self.time = time
      self.severity = severity
    }
  }

  package let started: Timestamp
  package var completed: Timestamp?
  package var success: Bool?
  package var messages: [Message]
  package var progress: JSONValue

  package init(started: Timestamp, messages: [Message] = [], progress: JSONValue) {
    self.started = started
    self.messages = messages
    self.progress = progress
  }

  package var isRunning: Bool { completed == nil }

  package var json: JSONValue {
    .object([
      "Started": .time(started),
      "Completed": .time(completed),
      "IsRunning": .bool(isRunning),
      "Success": success.map { .bool($0) } ?? .null,
      "Messages": .array(messages.map(\.json)),
      "Progress": progress,
    ])
  }

  /// A status that an earlier process left running, as it stands after that process's end.
  package static func interrupted(_ status: JSONValue, at time: Timestamp) -> JSONValue {
    var members = status.object ?? [:]
    var messages: [JSONValue] = []
    if case .array(let kept) = members["Messages"] { messages = kept }
    messages.append(Message(.error, OperationText.interrupted, time: time).json)
    members["Messages"] = .array(messages)
    members["IsRunning"] = .bool(false)
    members["Success"] = .bool(false)
    members["Completed"] = .time(time)
    return .object(members)
  }
}

extension BackupStatus.Message {
  var json: JSONValue {
    .object([
      "Message": .string(text), "Details": .text(details), "Timestamp": .time(time),
      "Severity": .string(severity.rawValue),
    ])
  }
}

/// Sentences that more than one place says.
enum OperationText {
  static let interrupted = "The operation was interrupted by a restart of the server."
  static let canceled = "The operation was cancelled."

  static func resumable(_ target: String) -> String {
    "What was restored until then is still in '\(target)': the same restore again goes on with it."
  }
}

extension JSONValue {
  /// Progress as statuses and operations show it.
  static func progress(_ progress: Progress) -> JSONValue {
    let phase = progress.phase.rawValue
    return .object([
      "Phase": .string(phase.prefix(1).uppercased() + phase.dropFirst()),
      "FilesTotal": .count(progress.filesTotal),
      "FilesDone": .count(progress.filesDone),
      "BytesTotal": .count(progress.bytesTotal),
      "BytesDone": .count(progress.bytesDone),
      "BytesStored": .count(progress.bytesStored),
      "ChunksNew": .count(progress.chunksNew),
      "ChunksDuplicate": .count(progress.chunksDuplicate),
      "BytesPerSecond": .number(
        progress.bytesPerSecond.isFinite ? progress.bytesPerSecond.rounded() : 0),
      "CurrentPath": .string(progress.currentPath),
    ])
  }
}
