internal import MuninnDisk
internal import MuninnFormat
internal import MuninnStore

/// The pages of all walked manifests and of long files' extents, each once, and which snapshots
/// have them. Snapshots are numbered as they are walked.
struct PageGraph {
  /// By fingerprint: what two pages share it is one page, or a crafted collision that costs the
  /// order of chunks alone.
  fileprivate(set) var ordinals: [ChunkIdentity: UInt32] = [:]
  /// Of each page, the first and the last snapshot that has it.
  fileprivate(set) var first: [UInt32] = []
  fileprivate(set) var last: [UInt32] = []
  /// Levels below the top, the deepest 0: a page's children lie deeper.
  fileprivate var heights: [UInt8] = []
  fileprivate var isSound: [Bool] = []
  fileprivate var children: [[UInt32]] = []

  var count: Int { first.count }

  /// A page that was met again by a later snapshot takes all below it along.
  fileprivate mutating func spread() {
    let order = heights.indices.sorted { heights[$0] > heights[$1] }
    for page in order {
      for child in children[page] where last[Int(child)] < last[page] {
        last[Int(child)] = last[page]
      }
    }
  }
}

/// Walks everything that snapshots refer to: the pages of their manifests, those of long files, and
/// the chunks of all files. Each page is read once. Belongs to one thread.
struct ReferenceWalk {
  private let reader: ChunkReader
  private let cancellation: Cancellation
  private(set) var graph = PageGraph()
  /// In a second walk: the pages that it has met.
  private var isVisited: [Bool]?
  private var current: UInt32 = 0
  /// Told of each reference, with the page that it is in; false where nobody can say what it means.
  /// The same chunk may come many times.
  private let mark: (ChunkReference, _ page: UInt32) -> Bool

  private enum Kind { case manifest, extents }

  init(
    store: Store, cancellation: Cancellation,
    mark: @escaping (ChunkReference, _ page: UInt32) -> Bool
  ) {
    reader = ChunkReader(store: store, maximumBlockCount: 256)
    self.cancellation = cancellation
    self.mark = mark
  }

  /// Another walk of what a first one has met, in the same order.
  init(
    again graph: PageGraph, store: Store, cancellation: Cancellation,
    mark: @escaping (ChunkReference, _ page: UInt32) -> Bool
  ) {
    self.init(store: store, cancellation: cancellation, mark: mark)
    self.graph = graph
    isVisited = [Bool](repeating: false, count: graph.count)
  }

  /// Walks a snapshot. False where something that it refers to cannot be found, so that nobody can
  /// say what it needs.
  mutating func walk(_ snapshot: SnapshotRecord) throws(StoreError) -> Bool {
    defer { current += 1 }
    // The root is in no page: it counts as its own.
    return try follow(
      snapshot.root.page, level: snapshot.root.level, .manifest, above: nil)
  }

  /// All snapshots were walked.
  mutating func finish() { graph.spread() }

  private static let manifestHeight: UInt8 = 128

  private mutating func follow(
    _ page: ChunkReference, level: UInt8, _ kind: Kind, above: UInt32?
  ) throws(StoreError) -> Bool {
    let known = graph.ordinals[page.identity]
    let ordinal = known ?? UInt32(graph.count)
    if let above, isVisited == nil { graph.children[Int(above)].append(ordinal) }
    if let known {
      if isVisited == nil { graph.last[Int(known)] = current }
      guard isVisited?[Int(known)] == false else {
        return mark(page, ordinal) && graph.isSound[Int(known)]
      }
      isVisited?[Int(known)] = true
    } else {
      // A second walk meets nothing new: snapshots do not change.
      guard isVisited == nil else { return false }
      graph.ordinals[page.identity] = ordinal
      graph.first.append(current)
      graph.last.append(current)
      graph.heights.append(level + (kind == .manifest ? ReferenceWalk.manifestHeight : 0))
      graph.isSound.append(true)
      graph.children.append([])
    }
    if cancellation.isCancelled {
      throw StoreError(.cancelled, "cancelled while it looked for what snapshots need")
    }
    var isSound = mark(page, ordinal)
    do throws(StoreError) {
      let isBelow = try follow(below: page, ordinal, level: level, kind)
      isSound = isSound && isBelow
    } catch {
      if error.code == .cancelled { throw error }
      isSound = false
    }
    graph.isSound[Int(ordinal)] = isSound
    return isSound
  }

  private mutating func follow(
    below page: ChunkReference, _ ordinal: UInt32, level: UInt8, _ kind: Kind
  ) throws(StoreError) -> Bool {
    var isSound = true
    if level > 0 {
      for child in try decodeUpperPage(page, level: level, reader) {
        let isBelow = try follow(child.page, level: level - 1, kind, above: ordinal)
        isSound = isSound && isBelow
      }
      return isSound
    }
    switch kind {
    case .extents:
      for case .chunk(let chunk) in try reader.extents(of: page) {
        isSound = mark(chunk, ordinal) && isSound
      }
    case .manifest:
      for entry in try decodeLeaf(page, reader) {
        switch entry.content {
        case .none, .inline: break
        case .extents(let extents):
          for case .chunk(let chunk) in extents { isSound = mark(chunk, ordinal) && isSound }
        case .tree(let root, let lists):
          for list in lists { isSound = mark(list, ordinal) && isSound }
          let isBelow = try follow(root.page, level: root.level, .extents, above: ordinal)
          isSound = isSound && isBelow
        }
      }
    }
    return isSound
  }
}
