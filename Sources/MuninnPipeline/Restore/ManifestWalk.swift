import MuninnFormat
import MuninnStore

/// Goes through the selected entries of a manifest in path order, page by page. Belongs to one
/// thread.
///
/// A page that cannot be read is reported and stepped over. No entry comes before the one that came
/// last, whatever the pages say, so that nothing downstream needs to look again.
struct ManifestWalk {
  /// An entry with its ordinal among all entries of the manifest; nil where pages before it were
  /// skipped or are lost.
  struct Item {
    var entry: ManifestEntry
    let ordinal: UInt64?
    /// A directory that comes along because something below it is selected.
    var isAbove = false
  }

  private let root: TreeRoot
  private let selection: PathSelection
  private let reader: ChunkReader
  private let maySkip: Bool
  private var tree: TreeReader
  private var lastPath: [UInt8]?
  private var soughtPath: [UInt8]?
  private var isAtEnd = false
  /// Selected paths that were not met yet.
  private(set) var missing: Set<[UInt8]>
  private var ordinal: UInt64? = 0
  /// Directories above where the walk is, of which nothing was selected yet.
  private var above: [Item] = []
  /// The directory that the walk is in whose content is left out, or wholly taken.
  private var excluded: [UInt8]?
  private var included: [UInt8]?

  /// `needsOrdinals` keeps the walk from jumping over pages that nothing is selected from.
  init(_ root: TreeRoot, selection: PathSelection, needsOrdinals: Bool, store: Store)
    throws(PipelineError)
  {
    let reader = ChunkReader(store: store)
    self.root = root
    self.selection = selection
    self.reader = reader
    missing = Set(selection.paths)
    maySkip = !selection.paths.isEmpty && !needsOrdinals
    tree = try fromStore { () throws(StoreError) in try TreeReader(root, reader: reader) }
  }

  /// The selected entries of the next page that has any; nil at the end.
  mutating func nextPage(_ report: (PathFailure) -> Void) -> [Item]? {
    while true {
      if isAtEnd { return nil }
      do throws(StoreError) {
        guard let leaf = try tree.nextLeaf() else { return nil }
        let entries = try read(leaf)
        let items = take(entries, report)
        if maySkip {
          // Where the way ahead is damaged the walk goes on page by page.
          do throws(StoreError) { try skip() } catch { reportLost(error, report) }
        }
        if !items.isEmpty { return items }
      } catch {
        reportLost(error, report)
      }
    }
  }

  private mutating func reportLost(_ error: StoreError, _ report: (PathFailure) -> Void) {
    ordinal = nil
    report(
      PathFailure(
        path: lastPath ?? [],
        message: "a page of the manifest after this path is lost: \(error.description)"))
  }

  private func read(_ leaf: ChunkReference) throws(StoreError) -> [ManifestEntry] {
    let bytes = try reader.read(leaf)
    do {
      return try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try EntryPage.decode(raw)
      }
    } catch {
      throw StoreError(error, object: ObjectName.container(leaf.location.container))
    }
  }

  private mutating func take(_ entries: [ManifestEntry], _ report: (PathFailure) -> Void)
    -> [Item]
  {
    var items: [Item] = []
    items.reserveCapacity(entries.count)
    for entry in entries {
      defer { ordinal = ordinal.map { $0 + 1 } }
      if let last = lastPath, !pathPrecedes(last, entry.path) {
        if !maySkip {
          report(
            PathFailure(path: entry.path, message: "the manifest has this path out of order"))
        }
        continue
      }
      lastPath = entry.path
      let choice = selection.choice(entry.path)
      guard choice != .none else { continue }
      if !missing.isEmpty { missing.remove(entry.path) }
      let isSelected = choice == .selected && isWanted(entry)
      while let last = above.last, !PathSelection.isBelowOrSame(entry.path, last.entry.path) {
        above.removeLast()
      }
      if isSelected {
        items.append(contentsOf: above)
        above.removeAll()
        items.append(Item(entry: entry, ordinal: ordinal))
      } else if entry.kind == .directory {
        above.append(Item(entry: entry, ordinal: ordinal, isAbove: true))
      }
    }
    return items
  }

  /// What the patterns say of a selected entry. What lies below an excluded directory is not looked
  /// at; what lies below an included one is included.
  private mutating func isWanted(_ entry: ManifestEntry) -> Bool {
    if let top = excluded {
      if PathSelection.isBelowOrSame(entry.path, top) { return false }
      excluded = nil
    }
    let isDirectory = entry.kind == .directory
    if !entry.path.isEmpty, selection.excludes.matches(entry.path, isDirectory: isDirectory) {
      if isDirectory { excluded = entry.path }
      return false
    }
    if selection.includes.isEmpty { return true }
    if let top = included {
      if PathSelection.isBelowOrSame(entry.path, top) { return true }
      included = nil
    }
    guard selection.includes.matches(entry.path, isDirectory: isDirectory) else { return false }
    if isDirectory { included = entry.path }
    return true
  }

  /// Goes to the page where the next wanted path may be, or to the end where none is left.
  private mutating func skip() throws(StoreError) {
    guard let last = lastPath, selection.choice(last) != .selected else { return }
    // A page that was sought for one path and does not have it is not sought for it again.
    let from = soughtPath.map { pathPrecedes(last, $0) ? $0 : last } ?? last
    guard let next = selection.next(after: from) else {
      isAtEnd = true
      return
    }
    ordinal = nil
    soughtPath = next
    tree = try TreeReader(root, reader: reader)
    try tree.seek(next)
  }
}
