internal import MuninnDisk
internal import MuninnFormat

/// What the threads of one repacking have in common.
final class RepackWork: Sendable {
  /// What is equal. Pages of manifests lie in containers of their own.
  struct Kind: Hashable {
    let identity: ChunkIdentity
    let isManifest: Bool
  }

  /// A chunk that is equal to one before it.
  struct Second {
    let chunk: RepackPlan.Chunk
    let kind: Kind
    let length: UInt64
  }

  struct State {
    /// Where the copies are of chunks that there are several of.
    var copies: [Kind: Identifier] = [:]
    var opened: [Int: OpenContainer] = [:]
    var holders: [Int: Set<Identifier>] = [:]
    var failed: Set<Int> = []
    var problems: [StoreError] = []
    var byteCount: UInt64 = 0
  }

  let state = Monitor(State())
  let seconds: [Second]
  private let secondPlaces: Set<UInt64>
  private let secondKinds: Set<Kind>

  /// Opens every source, and holds its directory against what is said to be needed of it.
  init(plan: RepackPlan, store: Store) {
    var problems: [(source: Int, error: StoreError)] = []
    var sums = [EntrySum](repeating: EntrySum(), count: plan.sources.count)
    var opened: [Int: OpenContainer] = [:]
    for (ordinal, source) in plan.sources.enumerated() {
      do throws(StoreError) {
        opened[ordinal] = try store.openContainer(source.container.id)
      } catch {
        // Where nothing of it is needed there is nothing to be read.
        if source.sum.count > 0 { problems.append((ordinal, error)) }
      }
    }
    var met: Set<Kind> = []
    var seconds: [Second] = []
    for stream in plan.streams {
      for chunk in stream.chunks {
        guard let directory = opened[Int(chunk.source)]?.directory,
          Int(chunk.slot) < directory.chunkCount
        else { continue }
        let identity = directory.identities[Int(chunk.slot)]
        sums[Int(chunk.source)].add(prefix: identity.fingerprint.low, slot: chunk.slot)
        let kind = Kind(identity: identity, isManifest: stream.isManifest)
        guard !met.insert(kind).inserted else { continue }
        seconds.append(
          Second(
            chunk: chunk, kind: kind, length: UInt64(directory.lengths[Int(chunk.slot)])))
      }
    }
    self.seconds = seconds
    secondPlaces = Set(seconds.map { RepackWork.place($0.chunk) })
    secondKinds = Set(seconds.map(\.kind))
    for (ordinal, source) in plan.sources.enumerated() where opened[ordinal] != nil {
      guard sums[ordinal] != source.sum else { continue }
      problems.append(
        (
          ordinal,
          StoreError(
            .damaged, "does not hold what manifests say that it does",
            object: ObjectName.container(source.container.id))
        ))
    }
    state.withLock { $0.opened = opened }
    for (source, error) in problems { fail(source, error) }
  }

  private static func place(_ chunk: RepackPlan.Chunk) -> UInt64 {
    UInt64(chunk.source) << 32 | UInt64(chunk.slot)
  }

  /// Whether the plan has an equal chunk before this one.
  func isSecond(_ chunk: RepackPlan.Chunk) -> Bool {
    !secondPlaces.isEmpty && secondPlaces.contains(RepackWork.place(chunk))
  }

  /// Nil for a source that is left alone.
  func container(_ source: Int) -> OpenContainer? {
    state.withLock { $0.failed.contains(source) ? nil : $0.opened[source] }
  }

  func fail(_ source: Int, _ error: StoreError) {
    state.withLock { state in
      if state.failed.insert(source).inserted { state.problems.append(error) }
    }
  }

  func note(_ source: Int, in container: Identifier) {
    state.withLock { _ = $0.holders[source, default: []].insert(container) }
  }

  /// The new container of a chunk that there are several of; nil where none was copied.
  func holder(of kind: Kind) -> Identifier? { state.withLock { $0.copies[kind] } }

  func noteCopy(of kind: Kind, in container: Identifier, _ byteCount: Int) {
    let isWanted = !secondKinds.isEmpty && secondKinds.contains(kind)
    state.withLock { state in
      if isWanted { state.copies[kind] = container }
      state.byteCount += UInt64(byteCount)
    }
  }
}
