internal import MuninnFormat
internal import MuninnStore

/// Follows every reference from snapshots down to chunks. A page that snapshots share is followed
/// once.
struct TreeCheck {
  /// A path that cannot be restored whole.
  struct Found {
    var path: [UInt8]
    let message: String
    /// A repair has marked the entry.
    let isKnown: Bool
  }

  private let store: Store
  private let chunks: ChunkAvailability
  private let reader: ChunkReader
  /// What is wrong below each page that was followed.
  private var found: [ChunkIdentity: [Found]] = [:]
  /// Pages below which nothing is wrong. Bounded: a page that was let go is followed again.
  private var sound: Set<Pair128> = []
  private static let maximumSoundCount = 4 << 20

  init(store: Store, damage: ContainerDamage, index: ChunkIndex) {
    self.store = store
    chunks = ChunkAvailability(store: store, damage: damage, index: index)
    reader = ChunkReader(store: store)
  }

  mutating func problems(of snapshot: SnapshotRecord) -> [Found] {
    follow(snapshot.root.page, level: snapshot.root.level)
  }

  private mutating func follow(_ page: ChunkReference, level: UInt8) -> [Found] {
    if sound.contains(page.identity.fingerprint) { return [] }
    if let before = found[page.identity] { return before }
    var own: [Found] = []
    do throws(StoreError) {
      if level == 0 {
        for entry in try decodeLeaf(page, reader) {
          let lost = chunks.lostRanges(of: entry, reader)
          if !lost.isEmpty {
            own.append(
              Found(path: entry.path, message: lost.description, isKnown: entry.isDamaged))
          }
        }
      } else {
        for below in try decodeUpperPage(page, level: level, reader) {
          own += follow(below.page, level: level - 1).map { one in
            var one = one
            if one.path.isEmpty { one.path = below.firstKey }
            return one
          }
        }
      }
    } catch {
      own.append(
        Found(path: [], message: "a manifest page is lost: \(error)", isKnown: false))
    }
    if own.isEmpty {
      if sound.count >= TreeCheck.maximumSoundCount { sound.removeAll() }
      sound.insert(page.identity.fingerprint)
    } else {
      found[page.identity] = own
    }
    return own
  }
}
