import MuninnDisk
import MuninnFormat

/// How an entry comes to its place in the target.
enum Placement: Sendable {
  /// Nothing has its name.
  case create
  /// It is made under another name, and takes its own when it is complete: what has it until then
  /// stays whole, and whoever has that open keeps it.
  case replace
  /// The file that has its name gets what differs written into it.
  case update
  /// What has its name is right but for its metadata.
  case keep

  var isRenamed: Bool {
    if case .replace = self { true } else { false }
  }

  /// Whether a new inode is made.
  var isNew: Bool {
    switch self {
    case .create, .replace: true
    case .update, .keep: false
    }
  }
}

/// What happens to an entry whose name is taken in the target.
enum Decision: Sendable, Equatable {
  /// It stays, whatever it is.
  case leave
  /// It is what the snapshot says, metadata included.
  case finished
  /// Its content is what the snapshot says.
  case keep
  /// A file whose content is to be compared chunk by chunk.
  case compare
  case replace
  /// A directory that has to go before anything else can have the name.
  case removeDirectory
}

/// The rule for names that are taken: the user's policy, or that of a restore that goes on.
struct ExistingRule: Sendable {
  /// Files from this size on are updated in place: to write them anew costs more than to compare
  /// them.
  static let leastUpdateByteCount: UInt64 = 1 << 20

  let policy: OverwritePolicy?
  let updatesInPlace: Bool
  /// Whether an earlier attempt at this restore was interrupted.
  let isResuming: Bool
  /// Whether the system has not been down since: then what that attempt wrote is in the page cache
  /// or on the disk. After a power loss a file may have its size and times and not its content.
  let trustsWrites: Bool

  init(_ options: RestoreOptions) {
    policy = options.overwrite
    updatesInPlace = options.updatesInPlace
    isResuming = options.journal?.isResuming ?? false
    trustsWrites = options.journal?.isSameBoot ?? false
  }

  /// Whether names may be taken at all.
  var expectsAny: Bool { policy != nil || isResuming }

  /// Whether a file that is not complete may never have its name: nothing but its name would tell
  /// it from a file that has to stay.
  var completesBeforeNaming: Bool { policy == .never }

  /// What to do with `entry`, which is no directory, where `status` has its name. `linkTarget`
  /// reads the target of a symlink.
  func decide(
    _ entry: ManifestEntry, _ status: FileStatus, linkTarget: () -> [UInt8]?
  ) -> Decision {
    if policy == .never { return .leave }
    guard EntryKind(status.kind) == entry.kind else {
      return status.kind == .directory ? .removeDirectory : .replace
    }
    let isSameTime = status.modifiedNanoseconds == entry.modifiedNanoseconds
    switch entry.kind {
    case .file: return decideFile(entry, status, isSameTime: isSameTime)
    case .symlink:
      guard linkTarget() == entry.linkTarget else { return .replace }
    case .characterDevice, .blockDevice:
      guard status.rdevMajor == entry.deviceMajor, status.rdevMinor == entry.deviceMinor else {
        return .replace
      }
    case .fifo, .socket, .directory: break
    }
    return isFinished(isSameTime) ? .finished : .keep
  }

  private func decideFile(
    _ entry: ManifestEntry, _ status: FileStatus, isSameTime: Bool
  ) -> Decision {
    let isSame = status.size == entry.size && isSameTime
    // The time of modification is set when everything else of a file is done.
    if isFinished(isSame) { return .finished }
    if policy == .changed, isSame, !isResuming || trustsWrites { return .keep }
    // A file that an earlier attempt began, or whose content has to be looked at.
    if isResuming || policy == .always { return .compare }
    return entry.size >= ExistingRule.leastUpdateByteCount && canUpdate(status)
      ? .compare : .replace
  }

  private func isFinished(_ isSame: Bool) -> Bool {
    policy == nil && isResuming && trustsWrites && isSame
  }

  /// Whether a file that differs may be written to: other names of it may be anyone's.
  func canUpdate(_ status: FileStatus) -> Bool { updatesInPlace && status.linkCount == 1 }
}

/// The name that an entry is made under until it takes its own: the same for each attempt, so that
/// what an interrupted one has left is found.
func temporaryName(of path: [UInt8]) -> [CChar] {
  cString(temporaryPrefix + Array(hexadecimal(path.withUnsafeBytes { checksum($0) }).utf8))
}

let temporaryPrefix = Array(".muninn-restore-".utf8)
