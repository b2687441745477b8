import ArgumentParser
import Muninn

struct SnapshotsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshots", abstract: "List the snapshots of a repository, oldest first.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @OptionGroup var report: ReportOptions

  private struct Report: Encodable { let snapshots: [Snapshot] }

  func run() async throws {
    let (snapshots, isDamaged) = try await Interruption.cancelling { [target] in
      let repository = try await target.open()
      return (try await repository.snapshots(), !repository.damage.isEmpty)
    }
    if report.isJSON {
      try JSONOutput.print(Report(snapshots: snapshots))
    } else {
      show(snapshots)
    }
    if isDamaged { throw ExitStatus.damaged }
  }

  private func show(_ snapshots: [Snapshot]) {
    var table = Table([
      ("ID", .left), ("TIME", .left), ("HOST", .left), ("PATHS", .left), ("KIND", .left),
      ("FILES", .right), ("SIZE", .right), ("STORED", .right), ("TAGS", .left),
    ])
    for snapshot in snapshots {
      table.add([
        snapshot.shortID, Quantity.localTime(snapshot.started), Terminal.safe(snapshot.host),
        Terminal.safe(snapshot.paths.joined(separator: " ")), kind(of: snapshot),
        Quantity.count(snapshot.statistics.files), Quantity.size(snapshot.statistics.bytes),
        Quantity.size(snapshot.statistics.bytesStored),
        Terminal.safe((snapshot.tags + (snapshot.isHeld ? ["(held)"] : [])).joined(separator: ",")),
      ])
    }
    for line in table.lines { Terminal.print(line) }
  }

  private func kind(of snapshot: Snapshot) -> String {
    if let successor = snapshot.supersededBy { return "superseded by \(successor.prefix(8))" }
    if let original = snapshot.repairs { return "repaired \(original.prefix(8))" }
    return snapshot.kind.rawValue
  }
}
