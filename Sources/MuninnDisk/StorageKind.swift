import Glibc

/// What a file system lies on, as far as the number of readers goes.
package enum StorageKind: Sendable, Equatable {
  /// A disk with a head that would have to jump between several readers.
  case spinning
  /// Flash, memory, or a virtual disk, which hides what it lies on.
  case solid
  /// Another machine: latency is hidden by asking for much at once.
  case network
  case unknown

  private static let networkTypes: Set<UInt64> = [
    0x6969,  // NFS
    0xFF53_4D42, 0xFE53_4D42, 0x517B,  // CIFS, SMB2, SMB
    0x00C3_6400,  // Ceph
    0x0102_1997,  // 9p
    0x5346_414F, 0x6B41_4653,  // AFS
    0x7375_7245,  // Coda
    0x6573_5546,  // FUSE: sshfs, s3fs, GlusterFS and the like
  ]

  /// Of the file system that an open file or directory is on.
  package static func of(_ descriptor: CInt) -> StorageKind {
    if let type = try? FileCalls.fileSystemType(of: descriptor, path: "") {
      if networkTypes.contains(type) { return .network }
    }
    guard let status = try? FileCalls.status(of: descriptor, path: "") else { return .unknown }
    return of(device: "/sys/dev/block/\(status.deviceMajor):\(status.deviceMinor)", depth: 0)
  }

  /// Of a block device by its directory in sysfs: a partition's disk, and what a volume of LVM,
  /// RAID or encryption is made of. One spinning part makes it spinning.
  private static func of(device: String, depth: Int) -> StorageKind {
    guard depth < 8 else { return .unknown }
    let parts = names(in: device + "/slaves")
    if !parts.isEmpty {
      let kinds = parts.map { of(device: "\(device)/slaves/\($0)", depth: depth + 1) }
      return kinds.contains(.spinning) ? .spinning : kinds.first ?? .unknown
    }
    for disk in [device, device + "/.."] {
      guard let rotational = text(disk + "/queue/rotational") else { continue }
      if rotational != "1" { return .solid }
      // Only a disk with a maker of its own is one: virtual ones say that they spin as well.
      guard let vendor = text(disk + "/device/vendor") else { return .solid }
      let virtual = ["QEMU", "VMware", "Msft", "VBOX", "Google", "XEN", "Virtual", "0x"]
      return virtual.contains { vendor.hasPrefix($0) } ? .solid : .spinning
    }
    return .unknown
  }

  private static func text(_ path: String) -> String? {
    guard let file = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path) else {
      return nil
    }
    let buffer = Buffer(capacity: 256)
    guard let got = try? FileCalls.read(file.descriptor, into: buffer.bytes, path: path) else {
      return nil
    }
    let bytes = buffer.bytes[..<got].prefix { $0 != 0x0A && $0 != 0x20 }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func names(in path: String) -> [String] {
    guard
      let directory = try? FileCalls.open(
        at: AT_FDCWD, path, flags: O_RDONLY | O_DIRECTORY, path: path),
      let listing = try? DirectoryListing.read(directory.descriptor, path: path)
    else { return [] }
    return (0..<listing.count).map { String(decoding: listing.name($0), as: UTF8.self) }
  }
}
