internal import Glibc
internal import MuninnDisk
internal import MuninnFormat

/// One entry of a listed directory.
struct SourceEntry: Sendable {
  /// Its name's place in the listing.
  let name: Int
  let status: FileStatus?
  /// Why there is no status.
  var failure: DiskError?
  /// What lists it, where it is a directory.
  var child: DirectoryNode?
  /// A directory that is taken only with something below it.
  var isConditional = false
}

/// A run of what a directory holds: names in order, and what statx says of each.
struct DirectoryContent: Sendable {
  let handle: DirectoryHandle
  let names: SourceNames
  let entries: [SourceEntry]
  /// What lists the runs behind this one. A huge directory is looked at run by run, so that no more
  /// than its names are held.
  var rest: [DirectoryNode] = []
}

/// The names of a directory, in order.
enum SourceNames: Sendable {
  case listed(DirectoryListing)
  case wanted([[UInt8]])

  var count: Int {
    switch self {
    case .listed(let listing): listing.count
    case .wanted(let names): names.count
    }
  }

  /// The path of the name at `index` in the directory of that path.
  func path(_ index: Int, in directory: [UInt8]) -> [UInt8] {
    switch self {
    case .listed(let listing):
      listing.withName(index) { joined(directory, UnsafeRawBufferPointer(start: $0, count: $1)) }
    case .wanted(let names):
      names[index].withUnsafeBytes { joined(directory, $0) }
    }
  }
}

/// The path of a name in a directory, in one allocation.
private func joined(_ directory: [UInt8], _ name: UnsafeRawBufferPointer) -> [UInt8] {
  var path: [UInt8] = []
  path.reserveCapacity(directory.count + 1 + name.count)
  path += directory
  if !directory.isEmpty { path.append(0x2F) }
  path.append(contentsOf: name)
  return path
}

/// Where a directory lies.
struct DirectoryPlace: Sendable {
  /// Below the root; empty for the root itself.
  var path: [UInt8] = []
  /// In its parent; the root's is an absolute path.
  var name: [UInt8]
  /// Which directory it is, as its name was looked up; nil for the root.
  var identity: DirectoryIdentity?
  /// What is wanted below it; nil for everything.
  var wanted: WantedPaths?
  /// The device of the source that it belongs to; nil above all sources.
  var sourceDevice: UInt64?
  /// The device of the directory that holds it.
  var parentDevice: UInt64?
  /// Whether an include pattern matches it, or a directory above it, or there is none.
  var isIncluded: Bool
}

/// What all directories of a walk have in common.
final class WalkScope: Sendable {
  let rules: WalkRules
  let openDirectories = OpenDirectories(capacity: OpenDirectories.usualCapacity)

  init(rules: WalkRules) { self.rules = rules }
}

/// A run of a directory of the source, listed once, by whichever thread claims it first.
final class DirectoryNode: Sendable {
  enum State {
    case idle
    case claimed
    case listed(Result<DirectoryContent, DiskError>)
  }

  private enum Work: Sendable {
    /// Open the directory, read its names, and look at the first run of them.
    case open(parent: DirectoryHandle?)
    /// Look at one more run.
    case run(DirectoryHandle, SourceNames, Range<Int>, device: UInt64)
  }

  /// What a name is to the sources.
  private enum Role {
    case inside
    /// A source itself: it is meant, however large it is and whatever it is called.
    case source
    /// On the way to sources.
    case above(WantedPaths)
  }

  /// Names that are looked at in one go.
  static let runCount = 4096

  let place: DirectoryPlace
  private let scope: WalkScope
  private let work: Work
  private let state = Monitor<State>(.idle)

  init(_ place: DirectoryPlace, parent: DirectoryHandle?, scope: WalkScope) {
    self.place = place
    self.scope = scope
    work = .open(parent: parent)
  }

  private init(_ first: DirectoryNode, _ work: Work) {
    place = first.place
    scope = first.scope
    self.work = work
  }

  /// Lists the directory here unless another thread does or did.
  func listIfIdle() -> DirectoryContent? {
    let isMine = state.withLock { state -> Bool in
      guard case .idle = state else { return false }
      state = .claimed
      return true
    }
    guard isMine else { return nil }
    let result: Result<DirectoryContent, DiskError>
    do throws(DiskError) { result = .success(try list()) } catch { result = .failure(error) }
    state.update { $0 = .listed(result) }
    return try? result.get()
  }

  /// The content, from whoever lists it.
  func content() throws(DiskError) -> DirectoryContent {
    let result = state.wait(until: { if case .listed = $0 { true } else { false } }) {
      state -> Result<DirectoryContent, DiskError> in
      guard case .listed(let result) = state else {
        return .failure(DiskError(errno: EINVAL, operation: "list", path: ""))
      }
      // The listing is consumed once: memory is given back as the walk goes on.
      state = .claimed
      return result
    }
    return try result.get()
  }

  private func list() throws(DiskError) -> DirectoryContent {
    switch work {
    case .open(let parent): return try open(parent)
    case .run(let handle, let names, let range, let device):
      let entries = try handle.withDescriptor { (descriptor) throws(DiskError) in
        look(handle, descriptor, names, range, device: device)
      }
      return DirectoryContent(handle: handle, names: names, entries: entries)
    }
  }

  private func open(_ parent: DirectoryHandle?) throws(DiskError) -> DirectoryContent {
    let file: OpenFile
    if let parent {
      file = try parent.withDescriptor { (above) throws(DiskError) in
        try withCString(place.name) { (name) throws(DiskError) in
          try FileCalls.openDirectory(at: above, name, path: displayPath(place.path))
        }
      }
    } else {
      file = try openSourceRoot(place.name)
    }
    // One that takes another's place before it is opened is noticed when it is opened again.
    let identity: DirectoryIdentity
    if let known = place.identity {
      identity = known
    } else {
      identity = DirectoryIdentity(
        try FileCalls.status(of: file.descriptor, path: displayPath(place.path)))
    }
    let handle = DirectoryHandle(
      file, name: place.name, identity: identity, parent: parent, among: scope.openDirectories)
    return try handle.withDescriptor { (descriptor) throws(DiskError) in
      let names = try self.names(descriptor, identity)
      let first = 0..<min(names.count, DirectoryNode.runCount)
      var content = DirectoryContent(
        handle: handle, names: names,
        entries: look(handle, descriptor, names, first, device: identity.device))
      for start in stride(
        from: DirectoryNode.runCount, to: names.count, by: DirectoryNode.runCount)
      {
        let run = start..<min(start + DirectoryNode.runCount, names.count)
        content.rest.append(
          DirectoryNode(self, .run(handle, names, run, device: identity.device)))
      }
      return content
    }
  }

  private func names(
    _ descriptor: CInt, _ identity: DirectoryIdentity
  ) throws(DiskError) -> SourceNames {
    if let wanted = place.wanted {
      var names: [[UInt8]] = []
      wanted.forEachName { name, _ in names.append(Array(name)) }
      return .wanted(names)
    }
    if isOutside(descriptor, identity.device) { return .wanted([]) }
    let listing = try DirectoryListing.read(descriptor, path: displayPath(place.path))
    if let markers = scope.rules.markersPresent(in: listing, descriptor) {
      return .wanted(markers.sorted { $0.lexicographicallyPrecedes($1) })
    }
    return .listed(listing)
  }

  /// Whether another file system is mounted here that is not to be walked. A source itself always
  /// is.
  private func isOutside(_ descriptor: CInt, _ device: UInt64) -> Bool {
    guard let source = place.sourceDevice, let parent = place.parentDevice else { return false }
    if scope.rules.staysOnFileSystem, device != source { return true }
    return device != parent && PseudoFileSystem.holds(descriptor)
  }

  // MARK: Looking at names

  private func look(
    _ handle: DirectoryHandle, _ descriptor: CInt, _ names: SourceNames, _ range: Range<Int>,
    device: UInt64
  ) -> [SourceEntry] {
    var entries: [SourceEntry] = []
    entries.reserveCapacity(range.count)
    func add(_ index: Int, _ name: UnsafePointer<CChar>, _ count: Int, _ role: Role) {
      let entry = look(descriptor, index, name, count, role)
      guard var entry else { return }
      if entry.status?.kind == .directory, entry.failure == nil {
        let inner = place(of: name, count, entry, role, device)
        entry.child = DirectoryNode(inner, parent: handle, scope: scope)
      }
      entries.append(entry)
    }
    switch names {
    case .listed(let listing):
      for index in range { listing.withName(index) { add(index, $0, $1, .inside) } }
    case .wanted(let names):
      var roles: [Role] = []
      place.wanted?.forEachName { roles.append($1.map { .above($0) } ?? .source) }
      for index in range {
        let role = roles.isEmpty ? .inside : roles[index]
        withCString(names[index]) { add(index, $0, names[index].count, role) }
      }
    }
    return entries
  }

  /// What there is of a name; nil where it is not taken.
  private func look(
    _ descriptor: CInt, _ index: Int, _ name: UnsafePointer<CChar>, _ count: Int, _ role: Role
  ) -> SourceEntry? {
    let status: FileStatus
    do throws(DiskError) {
      status = try FileCalls.status(at: descriptor, name, path: displayPath(path(name, count)))
    } catch {
      return SourceEntry(name: index, status: nil, failure: error)
    }
    let isDirectory = status.kind == .directory
    if case .inside = role, scope.rules.refuse(status) { return nil }
    var entry = SourceEntry(name: index, status: status)
    if case .above = role, !isDirectory {
      entry.failure = DiskError(
        errno: ENOTDIR, operation: "open", path: displayPath(path(name, count)))
    }
    guard place.path.count + count < FormatLimit.pathByteCount else {
      entry.failure = DiskError(
        errno: ENAMETOOLONG, operation: "back up", path: displayPath(path(name, count)))
      return entry
    }
    guard scope.rules.needsPaths else { return entry }
    let path = path(name, count)
    if scope.rules.excludes.matches(path, isDirectory: isDirectory) { return nil }
    let isIncluded =
      place.isIncluded || scope.rules.includes.matches(path, isDirectory: isDirectory)
    if !isIncluded, !isDirectory { return nil }
    entry.isConditional = !isIncluded
    return entry
  }

  private func place(
    of name: UnsafePointer<CChar>, _ count: Int, _ entry: SourceEntry, _ role: Role,
    _ device: UInt64
  ) -> DirectoryPlace {
    var inner = DirectoryPlace(
      path: path(name, count), name: [UInt8](UnsafeRawBufferPointer(start: name, count: count)),
      sourceDevice: place.sourceDevice, parentDevice: device, isIncluded: !entry.isConditional)
    inner.identity = entry.status.map { DirectoryIdentity($0) }
    switch role {
    case .inside: break
    case .source:
      inner.sourceDevice = entry.status?.device
      inner.parentDevice = nil
    case .above(let wanted):
      inner.wanted = wanted
      inner.parentDevice = nil
    }
    return inner
  }

  private func path(_ name: UnsafePointer<CChar>, _ count: Int) -> [UInt8] {
    joined(place.path, UnsafeRawBufferPointer(start: name, count: count))
  }
}

/// Hands `bytes` with a NUL behind them to `body`.
func withCString<R: ~Copyable, E: Error>(
  _ bytes: some Collection<UInt8>, _ body: (UnsafePointer<CChar>) throws(E) -> R
) throws(E) -> R {
  try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bytes.count + 1) {
    buffer throws(E) -> R in
    _ = buffer.initialize(from: bytes)
    buffer[bytes.count] = 0
    // Sound: the allocation has at least one element, so that there is an address.
    let start = UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped)
    return try body(start.assumingMemoryBound(to: CChar.self))
  }
}
