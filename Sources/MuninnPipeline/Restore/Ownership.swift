import Glibc
import MuninnDisk
import MuninnFormat

/// Who the restored entries belong to, and what this process may say about it.
///
/// A name that this machine knows decides, else the number. Who is not root cannot give files away:
/// that is said once, not for every file.
final class Ownership: Sendable {
  private struct Key: Hashable {
    let name: [UInt8]
    let id: UInt32
  }

  let isRoot: Bool
  /// Owner and group that a new file gets here; nil where that depends on the directory.
  private let user: UInt32
  private let group: UInt32?
  /// The permission bits that creating a file clears.
  private let umask: UInt16
  private let memberships = Ownership.processGroups()
  private let users = Monitor<[Key: UInt32]>([:])
  private let groups = Monitor<[Key: UInt32]>([:])

  /// `target` is the status of the target directory as this process made or found it.
  init(target: FileStatus) {
    isRoot = geteuid() == 0
    user = geteuid()
    // A set-group-id parent, or a file system mounted with grpid, hands its group down.
    group = target.groupID == getegid() && target.mode & 0o2000 == 0 ? getegid() : nil
    umask = Ownership.processUmask()
  }

  func owner(of entry: ManifestEntry) -> (user: UInt32, group: UInt32) {
    (
      resolve(entry.userName, entry.userID, in: users, NameCache.userID),
      resolve(entry.groupName, entry.groupID, in: groups, NameCache.groupID)
    )
  }

  /// Whether a file that this process makes belongs to that owner anyway.
  func isDefault(_ owner: (user: UInt32, group: UInt32)) -> Bool {
    owner.user == user && owner.group == group
  }

  func isOurs(user id: UInt32) -> Bool { id == user }

  /// Whether this process may give a file to the group.
  func isOurs(group id: UInt32) -> Bool { id == getegid() || memberships.contains(id) }

  /// Whether a file made with this mode has it without a further call.
  func survivesCreation(_ mode: UInt16) -> Bool { mode & ~0o777 == 0 && mode & umask == 0 }

  private func resolve(
    _ name: [UInt8], _ id: UInt32, in known: Monitor<[Key: UInt32]>,
    _ find: ([UInt8]) -> UInt32?
  ) -> UInt32 {
    if name.isEmpty { return id }
    let key = Key(name: name, id: id)
    if let resolved = known.withLock({ $0[key] }) { return resolved }
    let resolved = find(name) ?? id
    known.withLock { $0[key] = resolved }
    return resolved
  }

  private static func processGroups() -> Set<UInt32> {
    let count = getgroups(0, nil)
    guard count > 0 else { return [] }
    var groups = [gid_t](repeating: 0, count: Int(count))
    let got = getgroups(count, &groups)
    return Set(groups.prefix(Int(max(0, got))))
  }

  /// umask(2) can only be read by changing it, for all threads at once; /proc just tells. Where it
  /// does not, every bit counts as cleared.
  private static func processUmask() -> UInt16 {
    let path = "/proc/self/status"
    guard let file = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path) else {
      return 0o777
    }
    let buffer = Buffer(capacity: 4096)
    let got = (try? FileCalls.read(file.descriptor, into: buffer.bytes, path: path)) ?? 0
    let text = String(decoding: buffer.bytes[..<got], as: UTF8.self)
    for line in text.split(separator: "\n") where line.hasPrefix("Umask:") {
      let digits = line.dropFirst(6).drop { $0 == "\t" || $0 == " " }
      return UInt16(digits, radix: 8) ?? 0o777
    }
    return 0o777
  }
}
