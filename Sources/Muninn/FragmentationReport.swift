internal import MuninnPipeline

/// How a snapshot's content lies in the repository: what decides how fast it restores.
public struct FragmentationReport: Sendable, Codable, Equatable {
  /// Containers that hold content of the snapshot.
  public let containers: UInt64
  /// Those of which it needs less than half: what the next backups rewrite.
  public let sparseContainers: UInt64
  /// Bytes of the files, holes included.
  public let contentBytes: UInt64
  /// Bytes of the chunks that it needs, each counted once, before compression.
  public let neededBytes: UInt64
  /// MiB of chunks that are restored for each container: the speed factor. That of a repository
  /// with one snapshot is the best that can be had.
  public let speedFactor: Double
  /// The part of what those containers hold that the snapshot needs, 0 to 1.
  public let utilisation: Double
  /// What a restore of all of it would read; nil in the report of a backup, which looks into no
  /// container for it.
  public let plan: RestoreCostReport?

  init(_ fragmentation: Fragmentation) {
    containers = fragmentation.containers
    sparseContainers = fragmentation.sparseContainers
    contentBytes = fragmentation.contentByteCount
    neededBytes = fragmentation.neededByteCount
    speedFactor = fragmentation.bytesPerContainer / 1_048_576
    utilisation = fragmentation.utilisation
    plan = fragmentation.plan.map { RestoreCostReport($0) }
  }

  /// Bytes that a restore reads for each that it needs: as planned, or where nothing was planned at
  /// most, as if it read every container whole.
  public var readAmplification: Double {
    plan?.readAmplification ?? (utilisation > 0 ? 1 / utilisation : 1)
  }

  private enum CodingKeys: String, CodingKey {
    case containers, sparseContainers, contentBytes, neededBytes, speedFactor, utilisation, plan
    case readAmplification
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    containers = try values.decode(UInt64.self, forKey: .containers)
    sparseContainers = try values.decode(UInt64.self, forKey: .sparseContainers)
    contentBytes = try values.decode(UInt64.self, forKey: .contentBytes)
    neededBytes = try values.decode(UInt64.self, forKey: .neededBytes)
    speedFactor = try values.decode(Double.self, forKey: .speedFactor)
    utilisation = try values.decode(Double.self, forKey: .utilisation)
    plan = try values.decodeIfPresent(RestoreCostReport.self, forKey: .plan)
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(containers, forKey: .containers)
    try values.encode(sparseContainers, forKey: .sparseContainers)
    try values.encode(contentBytes, forKey: .contentBytes)
    try values.encode(neededBytes, forKey: .neededBytes)
    try values.encode(speedFactor, forKey: .speedFactor)
    try values.encode(utilisation, forKey: .utilisation)
    try values.encode(readAmplification, forKey: .readAmplification)
    try values.encodeIfPresent(plan, forKey: .plan)
  }
}

/// What a restore of a whole snapshot reads of the repository's containers.
public struct RestoreCostReport: Sendable, Codable, Equatable {
  /// Containers, each as often as it is read: once for very much.
  public let containerReads: UInt64
  public let requests: UInt64
  /// Bytes that are read, and the stored bytes of the chunks that are needed of them.
  public let bytesRead: UInt64
  public let bytesNeeded: UInt64
  public let readAmplification: Double

  init(_ cost: RestoreCost) {
    containerReads = cost.containerReads
    requests = cost.requests
    bytesRead = cost.byteCount
    bytesNeeded = cost.neededByteCount
    readAmplification = cost.amplification
  }
}
