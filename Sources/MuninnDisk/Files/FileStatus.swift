import CMuninnSystem

/// What statx(2) says of a file, directory, link or node. Times are nanoseconds since 1970; those
/// before are negative.
package struct FileStatus: Sendable, Equatable {
  /// The kinds of entry; the numbers agree with CMuninnSystem.
  package enum Kind: UInt8, Sendable {
    case file = 1
    case directory, symlink, fifo, socket, characterDevice, blockDevice
  }

  package var kind: Kind
  /// The low 12 bits: permissions, set-user-id, set-group-id, sticky.
  package var mode: UInt16
  package var userID: UInt32
  package var groupID: UInt32
  package var size: UInt64
  /// Allocated blocks of 512 bytes.
  package var blocks512: UInt64
  package var inode: UInt64
  package var linkCount: UInt32
  /// The device of the file system that holds the entry.
  package var deviceMajor: UInt32
  package var deviceMinor: UInt32
  /// The device that a device node stands for.
  package var rdevMajor: UInt32
  package var rdevMinor: UInt32
  package var modifiedNanoseconds: Int64
  package var changedNanoseconds: Int64
  package var accessedNanoseconds: Int64
  package var birthNanoseconds: Int64?
  /// STATX_ATTR_* bits.
  package var attributes: UInt64
  package var mountID: UInt64

  package init(
    kind: Kind, mode: UInt16, userID: UInt32 = 0, groupID: UInt32 = 0, size: UInt64 = 0,
    blocks512: UInt64 = 0, inode: UInt64 = 0, linkCount: UInt32 = 1, deviceMajor: UInt32 = 0,
    deviceMinor: UInt32 = 0, rdevMajor: UInt32 = 0, rdevMinor: UInt32 = 0,
    modifiedNanoseconds: Int64 = 0, changedNanoseconds: Int64 = 0, accessedNanoseconds: Int64 = 0,
    birthNanoseconds: Int64? = nil, attributes: UInt64 = 0, mountID: UInt64 = 0
  ) {
    self.kind = kind
    self.mode = mode
    self.userID = userID
    self.groupID = groupID
    self.size = size
    self.blocks512 = blocks512
    self.inode = inode
    self.linkCount = linkCount
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.rdevMajor = rdevMajor
    self.rdevMinor = rdevMinor
    self.modifiedNanoseconds = modifiedNanoseconds
    self.changedNanoseconds = changedNanoseconds
    self.accessedNanoseconds = accessedNanoseconds
    self.birthNanoseconds = birthNanoseconds
    self.attributes = attributes
    self.mountID = mountID
  }

  /// Nil where the kind is none that this program knows.
  init?(_ status: borrowing muninn_status) {
    guard let kind = Kind(rawValue: status.kind) else { return nil }
    self.init(
      kind: kind, mode: status.mode, userID: status.user_id, groupID: status.group_id,
      size: status.size, blocks512: status.blocks512, inode: status.inode,
      linkCount: status.link_count, deviceMajor: status.device_major,
      deviceMinor: status.device_minor, rdevMajor: status.rdev_major, rdevMinor: status.rdev_minor,
      modifiedNanoseconds: status.modified_ns, changedNanoseconds: status.changed_ns,
      accessedNanoseconds: status.accessed_ns,
      birthNanoseconds: status.has_birth != 0 ? status.birth_ns : nil,
      attributes: status.attributes, mountID: status.mount_id)
  }
}
