internal import MuninnDisk
package import MuninnFormat
internal import Synchronization

/// A chunk that a writer holds, and what the index says of it.
package struct ChunkClaim: Sendable {
  package let identity: ChunkIdentity
  package let length: UInt32
  /// Where the chunk is, or, where it is new, where the claimer must append it now.
  package var location: ChunkLocation
  package var isNew: Bool
  /// It is new although the repository has it, in a container that is avoided.
  package var isRewritten = false

  package init(identity: ChunkIdentity, length: UInt32) {
    self.identity = identity
    self.length = length
    location = ChunkLocation(container: .zero, slot: 0)
    isNew = false
  }
}

/// Which chunks the repository has, and where: committed ones, and those of one session.
///
/// Looked up in this order: the tables of the session's own chunks and of the containers that were
/// hit lately (what was written together is found together); then each segment: its filter, its
/// page. A segment's entry only proposes a place; fingerprint and tag are confirmed in the
/// container's directory.
///
/// Any number of threads look up and claim at a time. What is in memory has a lock for each of many
/// parts; the list of segments and all that they hold never change, but are exchanged as a whole;
/// disk is read under no lock.
package final class ChunkIndex: Sendable {
  private struct Names {
    var containers: [Identifier] = []
    var ordinals: [Identifier: UInt32] = [:]
    /// Containers whose directory is in the tables, so that it is not put there for each hit.
    var loaded: Set<Identifier> = []
    var loadedChunks = 0
  }

  /// The segments of a moment.
  final class SegmentList: Sendable {
    let segments: [Segment]
    init(_ segments: [Segment]) { self.segments = segments }
  }

  let store: Store
  let limits: IndexLimits
  let runs: SessionRuns?
  let live: [Identifier: ContainerRecord]
  /// What may be rescued: a merge keeps its entries.
  let condemned: [Identifier: CondemnedContainer]
  private let names = Monitor(Names())
  private let shards: ChunkShards
  private let list: Monitor<SegmentList>
  /// Changes after every exchange of the list.
  private let listVersion = Atomic<UInt64>(0)
  /// Readers' replacement for segments that are lost, of entries in memory.
  private let standIn: MemoryRun?
  /// The newest record that it knows.
  let head: UInt64
  /// Whether segments and stand-in together list all that live containers hold.
  private let isComplete: Bool
  private let isBehind = Atomic<Bool>(false)
  /// Segments that could not be opened.
  package let problems: [StoreError]

  /// The most entries that a reader takes into memory for segments that are lost.
  private static let maximumStandInCount = 1 << 26

  /// Opens the live segments of `journal`. A segment that is missing or damaged loses nothing: its
  /// containers' directories stand in for it. A reader keeps what they say in memory, at 16 bytes a
  /// chunk and no more than 2^26 chunks; a session (its id is given) writes it into a segment anew,
  /// which its commit puts in the old one's place.
  package init(
    store: Store, journal: JournalState, session: Identifier? = nil, limits: IndexLimits? = nil
  ) throws(StoreError) {
    self.store = store
    let limits = limits ?? (session == nil ? .reader : IndexLimits())
    self.limits = limits
    let opened = try OpenSegments(store: store, journal: journal, limits: limits)
    live = opened.journal.containers
    condemned = opened.journal.upkeep.condemned
    head = opened.journal.head
    problems = opened.problems
    let uncovered = opened.uncovered.reduce(0) {
      $0 + Int(opened.journal.containers[$1]?.chunkCount ?? 0)
    }
    isComplete = session == nil && uncovered <= Self.maximumStandInCount
    shards = ChunkShards(loadedChunks: limits.loadedChunks)
    list = Monitor(SegmentList(opened.segments))
    runs = session.map { SessionRuns(session: $0, lost: opened.lost) }
    standIn = session == nil ? store.standIn(opened.uncovered, Self.maximumStandInCount) : nil
    guard session != nil else { return }
    try adopt(opened.uncovered)
  }

  /// Whether a segment vanished under this index: the journal names others by now.
  var needsReopening: Bool { isBehind.load(ordering: .relaxed) }

  package var segmentCount: Int { list.withLock { $0 }.segments.count }

  /// Memory for segments (filters, lists) and for tables, in bytes.
  package var residentByteCount: (segments: Int, tables: Int) {
    (
      list.withLock { $0 }.segments.reduce(0) { $0 + $1.residentByteCount }, shards.byteCount
    )
  }

  /// Reads every page of every segment; returns what is wrong with them. Nothing is lost with a
  /// page: its chunks would be stored again.
  package func damagedPages() -> [StoreError] {
    var problems: [StoreError] = []
    for segment in list.withLock({ $0 }).segments { problems += segment.damagedPages() }
    return problems
  }

  /// Where a committed chunk, or one of this session's, is.
  package func find(_ identity: ChunkIdentity) throws(StoreError) -> ChunkLocation? {
    if let place = shards.find(identity) { return location(place) }
    return find(identity, in: list.withLock { $0 })
  }

  /// Resolves a batch: known chunks get their location; the others are claimed for the caller, who
  /// must append them in order to the container and from the slot that `next` names. A chunk that
  /// only `avoided` containers have is claimed too: from then on this session finds the new one.
  package func resolve(
    _ claims: inout [ChunkClaim], next: ChunkLocation, avoiding avoided: Set<Identifier> = []
  ) throws(StoreError) {
    var slot = next.slot
    let container = ordinal(of: next.container)
    var version = listVersion.load(ordering: .acquiring)
    var segments = list.withLock { $0 }
    for index in claims.indices {
      let identity = claims[index].identity
      var isAvoided = false
      if let place = shards.find(identity) {
        let found = location(place)
        isAvoided = avoided.contains(found.container)
        if !isAvoided {
          claims[index].location = found
          continue
        }
      }
      // A chunk leaves the tables only after its segment has joined the list.
      let now = listVersion.load(ordering: .acquiring)
      if now != version {
        version = now
        segments = list.withLock { $0 }
      }
      if let found = find(identity, in: segments, avoiding: avoided, &isAvoided) {
        claims[index].location = found
        continue
      }
      if let place = shards.claim(
        identity, ChunkTable.Place(container: container, slot: slot))
      {
        claims[index].location = location(place)
        continue
      }
      claims[index].location = ChunkLocation(container: next.container, slot: slot)
      claims[index].isNew = true
      claims[index].isRewritten = isAvoided
      slot += 1
    }
  }

  private func location(_ place: ChunkTable.Place) -> ChunkLocation {
    ChunkLocation(
      container: names.withLock { $0.containers[Int(place.container)] }, slot: place.slot)
  }

  func ordinal(of container: Identifier) -> UInt32 {
    names.withLock { names in
      if let known = names.ordinals[container] { return known }
      let ordinal = UInt32(names.containers.count)
      names.containers.append(container)
      names.ordinals[container] = ordinal
      return ordinal
    }
  }

  private func find(_ identity: ChunkIdentity, in list: SegmentList) -> ChunkLocation? {
    var isAvoided = false
    return find(identity, in: list, avoiding: [], &isAvoided)
  }

  /// `isAvoided` becomes true where it is in a container that is avoided.
  private func find(
    _ identity: ChunkIdentity, in list: SegmentList, avoiding avoided: Set<Identifier>,
    _ isAvoided: inout Bool
  ) -> ChunkLocation? {
    let prefix = identity.fingerprint.low
    for segment in list.segments where segment.mayContain(prefix) {
      do throws(StoreError) {
        let places = try segment.places(of: prefix)
        if let found = confirm(identity, places, avoiding: avoided, &isAvoided) { return found }
      } catch {
        // A damaged page proposes nothing: at worst a chunk is stored a second time.
        if error.code == .notFound { isBehind.store(true, ordering: .relaxed) }
      }
    }
    guard let standIn else { return nil }
    return confirm(identity, standIn.places(of: prefix), avoiding: avoided, &isAvoided)
  }

  /// Every place in a live container where a committed chunk is. A reader's index alone can tell.
  ///
  /// Unlike `find`, which proposes less where the index is damaged, it throws where something
  /// cannot be read: for whoever concludes from what is not found.
  package func everyPlace(of identity: ChunkIdentity) throws(StoreError) -> [ChunkLocation] {
    guard isComplete else {
      throw StoreError(
        .damaged, "the index lacks much of what it should list: repair the repository first",
        object: ObjectName.segmentPrefix)
    }
    let prefix = identity.fingerprint.low
    var proposed: [ChunkLocation] = []
    for segment in list.withLock({ $0 }).segments where segment.mayContain(prefix) {
      proposed += try segment.places(of: prefix)
    }
    if let standIn { proposed += standIn.places(of: prefix) }
    var found: [ChunkLocation] = []
    var seen: Set<ChunkLocation> = []
    for place in proposed where live[place.container] != nil && seen.insert(place).inserted {
      let directory = try store.container(place.container).directory
      if Int(place.slot) < directory.chunkCount,
        directory.identities[Int(place.slot)] == identity
      {
        found.append(place)
      }
    }
    return found
  }

  /// The first of the places where the chunk really is.
  private func confirm(
    _ identity: ChunkIdentity, _ places: [ChunkLocation], avoiding avoided: Set<Identifier>,
    _ isAvoided: inout Bool
  ) -> ChunkLocation? {
    for place in places where isLive(place.container) {
      // An unreadable container cannot serve: the chunk is stored again.
      guard let container = try? store.container(place.container),
        Int(place.slot) < container.directory.chunkCount,
        container.directory.identities[Int(place.slot)] == identity
      else { continue }
      if avoided.contains(place.container) {
        isAvoided = true
        continue
      }
      load(container)
      return place
    }
    return nil
  }

  package func isLive(_ container: Identifier) -> Bool {
    // Containers are named by their session.
    live[container] != nil || (runs.map { $0.session.high == container.high } ?? false)
  }

  private func load(_ container: OpenContainer) {
    let isNew = names.withLock { names in
      if names.loadedChunks > limits.loadedChunks / 2 {
        names.loaded.removeAll(keepingCapacity: true)
        names.loadedChunks = 0
      }
      names.loadedChunks += container.directory.chunkCount
      return names.loaded.insert(container.id).inserted
    }
    guard isNew else { return }
    let ordinal = ordinal(of: container.id)
    for (slot, identity) in container.directory.identities.enumerated() {
      shards.load(identity, ChunkTable.Place(container: ordinal, slot: UInt32(slot)))
    }
  }

  // MARK: What a session adds

  /// Takes over a chunk that the session holds without having claimed it.
  func own(_ identity: ChunkIdentity, _ place: ChunkTable.Place) {
    _ = shards.claim(identity, place)
  }

  /// Exchanges the list of segments.
  func exchange(_ change: (inout [Segment]) -> Void) {
    list.withLock { list in
      var segments = list.segments
      change(&segments)
      // Small ones first: what was stored lately is asked for most.
      segments.sort { $0.record.entryCount < $1.record.entryCount }
      list = SegmentList(segments)
    }
    listVersion.add(1, ordering: .releasing)
  }

  var segments: [Segment] { list.withLock { $0 }.segments }

  func forgetOwn(in containers: Set<UInt32>) { shards.removeOwn(in: containers) }
}

extension Segment {
  func damagedPages() -> [StoreError] {
    var problems: [StoreError] = []
    let buffer = Buffer(capacity: pageBufferByteCount)
    for number in 0..<pageCount {
      do throws(StoreError) { _ = try readPage(number, into: buffer.bytes) } catch {
        problems.append(error)
      }
    }
    return problems
  }
}
