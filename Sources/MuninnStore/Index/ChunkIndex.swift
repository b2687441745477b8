internal import MuninnDisk
package import MuninnFormat

/// A chunk that a writer holds, and what the index says of it.
package struct ChunkClaim: Sendable {
  package let identity: ChunkIdentity
  package let length: UInt32
  /// Where the chunk is, or, where it is new, where the claimer must append it now.
  package var location: ChunkLocation
  package var isNew: Bool

  package init(identity: ChunkIdentity, length: UInt32) {
    self.identity = identity
    self.length = length
    location = ChunkLocation(container: .zero, slot: 0)
    isNew = false
  }
}

/// Which chunks the repository has, and where: committed ones, and those of one session.
///
/// Looked up in this order: the table of the session's own chunks and of the containers that were
/// hit lately (what was written together is found together); then each segment: its filter, its
/// pages. A segment's entry only proposes a place; fingerprint and tag are confirmed in the
/// container's directory.
package final class ChunkIndex: Sendable {
  private struct State: ~Copyable {
    var own = ChunkTable()
    var loaded = ChunkTable()
    var containers: [Identifier] = []
    var ordinals: [Identifier: UInt32] = [:]
    var loadedContainers: Set<Identifier> = []
    var pages: [PageKey: [SegmentEntry]] = [:]
    var pageOrder: [PageKey] = []
  }

  private struct PageKey: Hashable {
    let segment: Int
    let page: Int
  }

  private let state = Monitor(State())
  private let store: Store
  private let segments: [Segment]
  private let live: Set<Identifier>
  /// Containers whose segment is lost or damaged: their directories are read instead.
  private let uncovered: [Identifier]
  /// Segments that could not be opened.
  package let problems: [StoreError]

  private static let maximumLoadedChunks = 4 << 20
  private static let maximumPages = 2048

  /// Opens the live segments of `journal`. A segment that is missing or damaged loses nothing: its
  /// containers' directories stand in for it.
  package init(store: Store, journal: JournalState) throws(StoreError) {
    self.store = store
    live = Set(journal.containers.keys)
    var segments: [Segment] = []
    var problems: [StoreError] = []
    var covered: Set<Identifier> = []
    for record in journal.segments.values.sorted(by: { $0.id < $1.id }) {
      do throws(StoreError) {
        segments.append(try Segment(record, store: store))
        covered.formUnion(record.containers)
      } catch {
        if error.code == .unsupportedFormat || error.code == .wrongKey { throw error }
        problems.append(error)
      }
    }
    self.segments = segments
    uncovered = journal.containers.keys.filter { !covered.contains($0) }.sorted()
    self.problems = problems
    for id in uncovered {
      // A container that cannot be read either proposes nothing; its chunks are stored again.
      guard let container = try? store.container(id) else { continue }
      state.withLock { load(container, into: &$0) }
    }
  }

  /// Reads every page of every segment; returns what is wrong with them. Nothing is lost with a
  /// page: its chunks would be stored again.
  package func damagedPages() -> [StoreError] {
    var problems: [StoreError] = []
    for segment in segments {
      for number in 0..<segment.pageCount {
        do throws(StoreError) { _ = try segment.page(number) } catch { problems.append(error) }
      }
    }
    return problems
  }

  /// Where a committed chunk, or one of this session's, is.
  package func find(_ identity: ChunkIdentity) throws(StoreError) -> ChunkLocation? {
    var result: Result<ChunkLocation?, StoreError> = .success(nil)
    state.withLock { state in
      do throws(StoreError) { result = .success(try find(identity, &state)) } catch {
        result = .failure(error)
      }
    }
    return try result.get()
  }

  /// Resolves a batch under one lock: known chunks get their location; the others are claimed for
  /// the caller, who must append them in order to the container and from the slot that `next`
  /// names.
  package func resolve(
    _ claims: inout [ChunkClaim], next: ChunkLocation
  ) throws(StoreError) {
    var failure: StoreError?
    state.withLock { state in
      var slot = next.slot
      let container = ordinal(of: next.container, &state)
      for index in claims.indices {
        let identity = claims[index].identity
        do throws(StoreError) {
          if let known = try find(identity, &state) {
            claims[index].location = known
            continue
          }
        } catch {
          failure = error
          return
        }
        state.own.insert(identity, ChunkTable.Place(container: container, slot: slot))
        claims[index].location = ChunkLocation(container: next.container, slot: slot)
        claims[index].isNew = true
        slot += 1
      }
    }
    if let failure { throw failure }
  }

  private func ordinal(of container: Identifier, _ state: inout State) -> UInt32 {
    if let known = state.ordinals[container] { return known }
    let ordinal = UInt32(state.containers.count)
    state.containers.append(container)
    state.ordinals[container] = ordinal
    return ordinal
  }

  private func find(_ identity: ChunkIdentity, _ state: inout State) throws(StoreError)
    -> ChunkLocation?
  {
    if let place = state.own.find(identity) ?? state.loaded.find(identity) {
      return ChunkLocation(container: state.containers[Int(place.container)], slot: place.slot)
    }
    let prefix = identity.fingerprint.low
    for (ordinal, segment) in segments.enumerated()
    where segment.tables.filter.mayContain(prefix) {
      for number in segment.pages(for: prefix) {
        // A damaged page proposes nothing: at worst a chunk is stored a second time.
        guard let page = page(number, of: ordinal, segment, &state) else { continue }
        if let found = try confirm(identity, page: page, segment: segment, &state) {
          return found
        }
      }
    }
    return nil
  }

  private func page(
    _ number: Int, of ordinal: Int, _ segment: Segment, _ state: inout State
  ) -> [SegmentEntry]? {
    let key = PageKey(segment: ordinal, page: number)
    if let known = state.pages[key] { return known }
    guard let page = try? segment.page(number) else { return nil }
    if state.pageOrder.count >= ChunkIndex.maximumPages {
      state.pages.removeAll(keepingCapacity: true)
      state.pageOrder.removeAll(keepingCapacity: true)
    }
    state.pages[key] = page
    state.pageOrder.append(key)
    return page
  }

  /// Loads the containers that the page proposes for `identity`, and looks again.
  private func confirm(
    _ identity: ChunkIdentity, page: [SegmentEntry], segment: Segment, _ state: inout State
  ) throws(StoreError) -> ChunkLocation? {
    let prefix = identity.fingerprint.low
    var low = 0
    var high = page.count
    while low < high {
      let middle = (low + high) / 2
      if page[middle].prefix < prefix { low = middle + 1 } else { high = middle }
    }
    while low < page.count, page[low].prefix == prefix {
      let entry = page[low]
      low += 1
      let id = segment.tables.containers[Int(entry.container)]
      guard live.contains(id) else { continue }
      // An unreadable container cannot serve: the chunk is stored again.
      guard let container = try? store.container(id),
        Int(entry.slot) < container.directory.chunkCount,
        container.directory.identities[Int(entry.slot)] == identity
      else { continue }
      load(container, into: &state)
      return ChunkLocation(container: id, slot: entry.slot)
    }
    return nil
  }

  private func load(_ container: OpenContainer, into state: inout State) {
    guard !state.loadedContainers.contains(container.id) else { return }
    if state.loaded.count > ChunkIndex.maximumLoadedChunks {
      state.loaded.removeAll()
      state.loadedContainers.removeAll()
      for id in uncovered {
        guard let container = try? store.container(id) else { continue }
        insert(container, into: &state)
      }
    }
    insert(container, into: &state)
  }

  private func insert(_ container: OpenContainer, into state: inout State) {
    guard state.loadedContainers.insert(container.id).inserted else { return }
    let ordinal = ordinal(of: container.id, &state)
    for (slot, identity) in container.directory.identities.enumerated() {
      state.loaded.insert(identity, ChunkTable.Place(container: ordinal, slot: UInt32(slot)))
    }
  }
}
