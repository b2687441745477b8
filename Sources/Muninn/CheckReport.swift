/// A path of a snapshot that cannot be restored whole, and why.
public struct AffectedPath: Sendable, Codable, Equatable {
  /// The snapshot's id.
  public let snapshot: String
  /// In the display encoding of names; empty for what has no path any more.
  public let path: String
  public let message: String

  public init(snapshot: String, path: String, message: String) {
    self.snapshot = snapshot
    self.path = path
    self.message = message
  }
}

public struct CheckReport: Sendable, Codable {
  public let snapshots: UInt64
  public let containers: UInt64
  public let chunks: UInt64
  /// Containers whose blocks were read, and the bytes of those blocks.
  public let containersRead: UInt64
  public let bytesRead: UInt64
  public let seconds: Double
  /// Whether the reading went on where an interrupted one had ended.
  public let isResumed: Bool
  /// Empty where all is well. `path` names the object, or snapshot and path that the damage
  /// touches.
  public let problems: [PathProblem]
  /// The paths among the problems.
  public let affected: [AffectedPath]
  /// Paths that a repair has marked, and that no later backup brought back. They are no problems.
  public let knownLosses: [AffectedPath]
  /// Bytes of all containers, and of those that this machine knows to have been read whole.
  public let containerBytes: UInt64
  public let verifiedBytes: UInt64
  /// When the container was read that was read longest ago, in seconds since 1970; nil where one
  /// never was.
  public let oldestVerification: Double?
  public var isClean: Bool { problems.isEmpty }

  public init(
    snapshots: UInt64, containers: UInt64, chunks: UInt64, containersRead: UInt64,
    bytesRead: UInt64, seconds: Double, isResumed: Bool, problems: [PathProblem],
    affected: [AffectedPath], knownLosses: [AffectedPath], containerBytes: UInt64,
    verifiedBytes: UInt64, oldestVerification: Double?
  ) {
    self.snapshots = snapshots
    self.containers = containers
    self.chunks = chunks
    self.containersRead = containersRead
    self.bytesRead = bytesRead
    self.seconds = seconds
    self.isResumed = isResumed
    self.problems = problems
    self.affected = affected
    self.knownLosses = knownLosses
    self.containerBytes = containerBytes
    self.verifiedBytes = verifiedBytes
    self.oldestVerification = oldestVerification
  }
}

/// A snapshot that a repair has put another in the place of.
public struct RepairedSnapshot: Sendable, Codable, Equatable {
  public let original: String
  /// Nil in a dry run.
  public let snapshot: String?
  /// Paths whose content cannot all be had, and those that were marked so and are whole again.
  public let lostPaths: UInt64
  public let healedPaths: UInt64
}

public struct RepairReport: Sendable, Codable {
  public let isDryRun: Bool
  public let seconds: Double
  /// What was found wrong, object by object, and what was done about it, or would be.
  public let steps: [PathProblem]
  public let repaired: [RepairedSnapshot]
  /// What cannot be restored, or not wholly.
  public let lost: [AffectedPath]
  /// What could not be repaired.
  public let unrepaired: [PathProblem]
  public let chunksSalvaged: UInt64
  public let bytesRead: UInt64
  /// Where below the repository the damaged objects are kept.
  public let folder: String?
  public let abandonedFilesRemoved: UInt64
  public var isClean: Bool { steps.isEmpty && lost.isEmpty && unrepaired.isEmpty }
}
