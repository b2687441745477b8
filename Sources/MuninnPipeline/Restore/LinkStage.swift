import MuninnDisk
import MuninnFormat
import Synchronization

/// The hard-link groups of a restore, by the path that the manifest names them by.
final class LinkGroups: Sendable {
  enum Group: Sendable {
    /// The path that was made, or will be.
    case made([UInt8], isComplete: Bool)
    /// Made, with holes for what of its content is lost.
    case partial([UInt8])
    case failed
  }

  /// A member whose inode gets further names, and is final when all are made.
  struct Member: Sendable {
    let path: [UInt8]
    let ordinal: UInt64?
    let flags: UInt32
  }

  private let groups = Monitor<[[UInt8]: Group]>([:])
  private let membersState = Monitor<[Member]>([])

  func group(_ key: [UInt8]) -> Group? { groups.withLock { $0[key] } }

  func begin(_ key: [UInt8], with path: [UInt8]) {
    groups.withLock { $0[key] = .made(path, isComplete: false) }
  }

  func complete(_ key: [UInt8], isPartial: Bool) {
    groups.withLock { groups in
      guard case .made(let path, _) = groups[key] else { return }
      groups[key] = isPartial ? .partial(path) : .made(path, isComplete: true)
    }
  }

  func fail(_ key: [UInt8]) { groups.withLock { $0[key] = .failed } }

  func remember(_ path: [UInt8], _ ordinal: UInt64?, flags: UInt32) {
    membersState.withLock { $0.append(Member(path: path, ordinal: ordinal, flags: flags)) }
  }

  var members: [Member] { membersState.withLock { $0 } }
}

/// Makes further names of what is in the target by now.
struct LinkStage {
  let run: RestoreRun

  func link(_ links: [PlannedLink]) {
    for link in links {
      if run.shouldStop { return }
      let first: [UInt8]
      var ordinal = link.ordinal
      switch run.links.group(link.group) {
      case .made(let path, isComplete: true): first = path
      case .partial(let path):
        first = path
        ordinal = nil
        run.fail(
          link.path,
          "a hard link to '\(displayPath(link.group))', some of whose content is lost")
      case .made, .failed, nil:
        run.fail(link.path, "a hard link to '\(displayPath(link.group))', which was not restored")
        continue
      }
      do throws(DiskError) {
        let from = try run.tree.openParent(of: first)
        let to = try run.tree.handle(link.directory)
        guard try make(link, of: first, from, to) else { continue }
        if let onRestored = run.onRestored {
          onRestored(
            link.path,
            try FileCalls.status(
              at: to.descriptor, lastName(of: link.path), path: displayPath(link.path)))
        }
        run.links.remember(link.path, ordinal, flags: 0)
        run.count(link.entry)
        if link.entry.kind == .file { run.countBytes(link.entry.size) }
      } catch {
        run.fail(link.path, error)
      }
    }
  }

  /// Makes the name. False where something has it that stays.
  private func make(
    _ link: PlannedLink, of first: [UInt8], _ from: Handle, _ to: Handle
  ) throws(DiskError) -> Bool {
    let shown = displayPath(link.path)
    let name = lastName(of: link.path)
    func makeName(_ name: [CChar]) throws(DiskError) {
      try FileCalls.makeHardLink(
        fromDirectory: from.descriptor, lastName(of: first), toDirectory: to.descriptor, name,
        path: shown)
    }
    guard link.mayBeTaken, let taken = try? FileCalls.status(at: to.descriptor, name, path: shown)
    else {
      try makeName(name)
      return true
    }
    let wanted = try FileCalls.status(at: from.descriptor, lastName(of: first), path: shown)
    if taken.inode == wanted.inode, taken.deviceMajor == wanted.deviceMajor,
      taken.deviceMinor == wanted.deviceMinor
    {
      return true
    }
    if run.rule.policy == .never {
      run.entriesKept.add(1, ordering: .relaxed)
      return false
    }
    if taken.kind == .directory {
      try FileCalls.unlink(at: to.descriptor, name, isDirectory: true, path: shown)
      try makeName(name)
      return true
    }
    let temporary = temporaryName(of: link.path)
    try? FileCalls.unlink(at: to.descriptor, temporary, path: shown)
    try makeName(temporary)
    try FileCalls.rename(
      fromDirectory: to.descriptor, temporary, toDirectory: to.descriptor, name, path: shown)
    return true
  }

  /// When every name is made: the flags that would have been in the way, then the identities, which
  /// each new name had changed.
  func finish() -> [RestoredIdentity] {
    var identities: [RestoredIdentity] = []
    for member in run.links.members {
      if run.shouldStop { break }
      guard member.flags != 0 || run.records else { continue }
      do throws(DiskError) {
        let parent = try run.tree.openParent(of: member.path)
        let name = lastName(of: member.path)
        if member.flags != 0 {
          let file = try FileCalls.openForReading(
            at: parent.descriptor, name, path: displayPath(member.path))
          try Metadata.setFlags(member.flags, of: file.descriptor, member.path, run)
        }
        let status = try FileCalls.status(
          at: parent.descriptor, name, path: displayPath(member.path))
        if run.records, status.kind == .file, let ordinal = member.ordinal {
          identities.append(
            RestoredIdentity(
              ordinal: ordinal, inode: status.inode,
              changedNanoseconds: status.changedNanoseconds))
        }
      } catch {
        run.fail(member.path, error)
      }
    }
    identities.sort { $0.ordinal < $1.ordinal }
    return identities
  }
}
