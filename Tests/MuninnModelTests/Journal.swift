// What the model's records do, and what is asked of the state that they add up to.

/// What must never be.
enum Violation: String, Sendable {
  case missingContainer = "a committed snapshot lacks a container"
  case missingChunk = "a committed snapshot lacks a chunk"
  case liveDeletion = "something live is being deleted"
  case hurtWriter = "a session that is not fenced needs what was swept"
  case hurtReader = "a reader that is not fenced misses a container"
  case undeletable = "something dead stays when its sessions have ended"
}

extension World {
  func itemContainers(_ item: UInt8, of writer: Bits) -> Bits {
    switch item {
    case Item.x, Item.y: Container.old
    case Item.xRepacked: Container.repacked
    case Item.otherWriters:
      writer == Session.writers.0 ? Container.own.1 : Container.own.0
    default: 0
    }
  }

  private func itemChunks(_ item: UInt8, of writer: Bits) -> Bits {
    switch item {
    case Item.x, Item.xRepacked: Chunk.x
    case Item.y: Chunk.y
    case Item.otherWriters: writer == Session.writers.0 ? Chunk.own.1 : Chunk.own.0
    default: 0
    }
  }

  /// The containers that a writer's snapshot names.
  func needed(by writer: Bits) -> Bits {
    writer == Session.writers.0
      ? Container.own.0 | itemContainers(writers.0.item, of: writer)
      : Container.own.1 | itemContainers(writers.1.item, of: writer)
  }

  /// The containers that a snapshot needs, repacked ones in the place of what they were.
  func containers(of snapshot: Bits) -> Bits {
    let named: Bits =
      switch snapshot {
      case Snapshots.first: Container.old
      case Snapshots.final.0, Snapshots.partial.0: needed(by: Session.writers.0)
      default: needed(by: Session.writers.1)
      }
    guard repackedFor & snapshot != 0, named & Container.old != 0 else { return named }
    return named & ~Container.old | Container.repacked
  }

  func chunks(of snapshot: Bits) -> Bits {
    switch snapshot {
    case Snapshots.first: Chunk.x
    case Snapshots.final.0, Snapshots.partial.0:
      Chunk.own.0 | itemChunks(writers.0.item, of: Session.writers.0)
    default: Chunk.own.1 | itemChunks(writers.1.item, of: Session.writers.1)
    }
  }

  func content(of containers: Bits) -> Bits {
    var chunks: Bits = 0
    if containers & Container.old != 0 { chunks |= Chunk.x | Chunk.y }
    if containers & Container.own.0 != 0 { chunks |= Chunk.own.0 }
    if containers & Container.own.1 != 0 { chunks |= Chunk.own.1 }
    if containers & Container.repacked != 0 { chunks |= repacker.copied }
    return chunks
  }

  /// What the committed snapshots need, all together.
  var neededBySnapshots: Bits {
    var all: Bits = 0
    for snapshot in Snapshots.all where snapshots & snapshot != 0 {
      all |= containers(of: snapshot)
    }
    return all
  }

  /// What may be deleted, by the journal alone.
  func deletable(_ rules: Rules) -> Bits {
    let dead = ~live & ~condemned
    var result: Bits = 0
    for container in Container.all where Session.owner(of: container) & fenced != 0 {
      result |= dead & container
    }
    if !rules.holds(.sweepFences) { result |= dead & swept }
    if !rules.holds(.fencesBeforeDeleting) { result |= dead & ~swept & 15 }
    if !rules.holds(.sweepsBeforeDeleting) { result |= condemned }
    return result
  }

  /// The containers whose condemnation every session knows that is registered and not fenced.
  var knownByAll: Bits {
    var known: Bits = 15
    let waited = notes & ~fenced
    if waited & Session.writers.0 != 0 { known &= writers.0.known }
    if waited & Session.writers.1 != 0 { known &= writers.1.known }
    if waited & Session.reader != 0 { known &= reader.known }
    if waited & Session.repacker != 0 { known &= repacker.known }
    return known
  }

  // MARK: Records

  /// A record has landed: whatever else is under way comes too late for its number.
  mutating func land() { pending = 0 }

  mutating func condemn(_ containers: Bits) {
    live &= ~containers
    condemned |= containers
    writers.0.known &= ~containers
    writers.1.known &= ~containers
    reader.known &= ~containers
    repacker.known &= ~containers
  }

  mutating func rescue(_ containers: Bits, _ rules: Rules) {
    condemned &= ~containers
    live |= containers
    // A sweep compares the number of the condemnation that it waited for.
    if collector.stage == Collector.Stage.listed, rules.holds(.sweepsByRecord) {
      collector.chosen &= ~containers
    }
  }

  mutating func sweep(_ containers: Bits, _ rules: Rules) {
    live &= ~containers
    condemned &= ~containers
    swept |= containers
    if rules.holds(.sweepFences) { fenced |= Session.owners(of: containers) }
  }

  // MARK: Properties

  /// What must not be and is; nil where all is well.
  func violation() -> Violation? {
    for snapshot in Snapshots.all where snapshots & snapshot != 0 {
      let containers = containers(of: snapshot)
      if containers & ~(live & present) != 0 { return .missingContainer }
      if chunks(of: snapshot) & ~content(of: containers) != 0 { return .missingChunk }
    }
    if deleting & (live | condemned) != 0 { return .liveDeletion }
    return nil
  }

  private var isQuiet: Bool {
    Stage.isOver(writers.0.stage) && Stage.isOver(writers.1.stage)
      && Stage.isOver(reader.stage) && Stage.isOver(repacker.stage)
  }

  /// Whether a collection after the end of all sessions leaves something dead behind.
  func leavesGarbage(_ rules: Rules) -> Bool {
    guard isQuiet else { return false }
    var world = self
    world.land()
    world.present |= arriving | arrivingAgain
    world.notes |= noteAgain
    world.present &= ~deleting
    // One collection: the dead are fenced, then condemn, list, sweep and delete.
    let unnamed = world.present & ~world.live & ~world.condemned
    world.fenced |= world.notes | Session.owners(of: unnamed)
    world.condemn(world.live & ~world.neededBySnapshots)
    world.sweep(world.condemned & world.knownByAll, rules)
    world.present &= ~world.deletable(rules)
    return world.present != world.neededBySnapshots
  }
}
