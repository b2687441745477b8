import Muninn

/// A restore that has begun: its places exist, its identity is decided.
struct RestoreWork: Sendable {
  let plan: RestorePlan
  let fileSystem: FileSystemRecord
  let items: [String: JSONValue]
  /// Whether the target was made for this restore.
  let madeTarget: Bool

  func run(_ progress: LiveProgress) async -> OperationEnd {
    do {
      if plan.replacesLeftovers {
        let target = plan.target
        try await Blocking.run { () throws(Refusal) in
          try TreeRemoval.remove(target, removingTop: false)
        }
      }
      var request = RestoreRequest(
        snapshot: .id(plan.snapshot.id), target: PathText.encode(plan.target.utf8))
      request.paths = plan.paths
      request.defragment = plan.defragment
      request.indexDirectory = fileSystem.indexes
      request.journalDirectory = fileSystem.journals
      let report = try await plan.repository.restore(request) { progress.set($0) }
      return finished(report)
    } catch {
      var end = OperationEnd(error)
      if let refusal = error as? Refusal { end.error = refusal.message }
      await clean(&end)
      return end
    }
  }

  private func finished(_ report: RestoreReport) -> OperationEnd {
    var end = OperationEnd(.completed)
    end.messages = report.problems.map {
      .init(.error, "'\($0.path)' was not restored: \($0.message)", details: $0.path)
    }
    if report.problemCount > 0 {
      end.error = "Paths that could not be restored: \(report.problemCount). The rest is complete."
    }
    end.messages.append(
      .init(
        .informational,
        "Restored \(report.files) files, \(report.bytes) bytes, from snapshot \(report.snapshot)."))
    if let extents = report.extents {
      end.messages.append(.init(.informational, "The files lie in \(extents.total) extents."))
    }
    var record = fileSystem
    record.counts = .init(files: report.files, bytes: report.bytes, ticks: Timestamp.now.ticks)
    end.change.fileSystem = record
    end.change.items = items
    return end
  }

  /// Removes what was written, so that the same request can be made again; says which.
  private func clean(_ end: inout OperationEnd) async {
    let target = plan.target
    let madeTarget = madeTarget
    let note: String
    do {
      try await Blocking.run { () throws(Refusal) in
        try TreeRemoval.remove(target, removingTop: madeTarget)
      }
      note = "What had been restored to '\(target)' was removed."
    } catch {
      note = "What had been restored to '\(target)' could not be removed: \(error.message)"
      end.hasLeftovers = true
    }
    end.error = [end.error, note].compactMap { $0 }.joined(separator: " ")
    end.messages.append(.init(.informational, note))
  }
}
