import Muninn

/// A restore that has begun: its places exist, its identity is decided.
struct RestoreWork: Sendable {
  let plan: RestorePlan
  let fileSystem: FileSystemRecord
  let items: [String: JSONValue]
  let resumption: Resumption

  private var target: String { PathText.encode(plan.target.utf8) }

  func run(_ progress: LiveProgress, _ operations: Operations) async -> OperationEnd {
    do {
      var request = RestoreRequest(snapshot: .id(plan.snapshot.id), target: target)
      request.paths = plan.paths
      request.defragment = plan.defragment
      request.indexDirectory = fileSystem.indexes
      request.journalDirectory = resumption.journals
      if plan.leftover != nil {
        let unfinished = try await UnfinishedRestore.find(
          target: target, journalDirectory: resumption.journals)
        // It was complete but for its registration, or its journal is lost: what is there and has
        // size and time of the snapshot stays, and nothing that is not the snapshot's is removed.
        if unfinished == nil { request.overwrite = .changed }
      }
      let report = try await plan.repository.restore(request) { progress.set($0) }
      return finished(report)
    } catch {
      var end = OperationEnd(error)
      let note =
        if end.outcome == .canceled, await operations.isStopping, await hasWritten() {
          keep(&end)
        } else {
          await clean(&end)
        }
      end.error = [end.error, note].compactMap { $0 }.joined(separator: " ")
      end.messages.append(.init(.informational, note))
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
    if report.isResumed || plan.leftover != nil {
      end.messages.append(
        .init(.informational, "Went on where an interrupted restore had ended."))
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

  private func hasWritten() async -> Bool {
    let target = plan.target
    return (try? await Blocking.run { () throws(Refusal) in try Directory.state(target) }) != .empty
  }

  /// Leaves what was written: a server that stops is not a reason to begin anew.
  private func keep(_ end: inout OperationEnd) -> String {
    end.hasLeftovers = true
    return OperationText.resumable(plan.target)
  }

  /// Removes what was written and says so, or why not.
  private func clean(_ end: inout OperationEnd) async -> String {
    // On a task of its own: this one may be cancelled, and what was written is to go all the same.
    let cleaning = Task { [target, resumption] in
      do throws(MuninnError) {
        _ = try await UnfinishedRestore.clean(
          target: target, journalDirectory: resumption.journals)
        return MuninnError?.none
      } catch {
        return error
      }
    }
    // Nothing had been written where no journal was begun.
    if let error = await cleaning.value, error.code != .notFound {
      end.hasLeftovers = true
      return "What had been restored to '\(plan.target)' is still there: \(error.message)."
    }
    await LeftoverDirectories.remove(resumption)
    return "What had been restored to '\(plan.target)' was removed."
  }
}

/// The directories that were made for a restore of which nothing came.
enum LeftoverDirectories {
  /// Removes those that are empty.
  static func remove(_ resumption: Resumption) async {
    await Blocking.run {
      // The journal's directory has one of its own in it, for restores.
      Directory.removeIfEmpty(resumption.journals + "/restores")
      for place in resumption.made.reversed() { Directory.removeIfEmpty(place) }
    }
  }
}
