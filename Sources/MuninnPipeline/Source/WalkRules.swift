internal import Glibc
package import MuninnDisk

/// What of a source is taken, apart from where it begins.
package struct WalkRules: Sendable {
  /// What is left out, and all below it.
  package var excludes = PathPatterns([])
  /// Where there are any, nothing but what they match is taken, and all below that, with the
  /// directories that lead there.
  package var includes = PathPatterns([])
  /// Stay on the file system of each source; where another is mounted, an empty directory stands.
  package var staysOnFileSystem = false
  /// Of a directory with a CACHEDIR.TAG file, take that file alone.
  package var leavesCachesOut = false
  /// Of a directory that has one of these files, take that file alone.
  package var markers: [DirectoryMarker] = []
  /// Leave out what has the flag that chattr(1) calls `d`.
  package var leavesNoDumpOut = false
  /// Sizes of regular files that are taken, in bytes.
  package var fileSizes: ClosedRange<UInt64> = 0...UInt64.max
  /// Kinds that are taken; directories always are.
  package var kinds: Set<FileStatus.Kind>?

  package init() {}

  /// Whether paths decide about entries.
  var needsPaths: Bool { !excludes.isEmpty || !includes.isEmpty }

  /// Whether the status of an entry keeps it out, whatever its path.
  func refuse(_ status: FileStatus) -> Bool {
    if leavesNoDumpOut, status.attributes & WalkRules.noDump != 0 { return true }
    if status.kind == .directory { return false }
    if let kinds, !kinds.contains(status.kind) { return true }
    return status.kind == .file && !fileSizes.contains(status.size)
  }

  /// STATX_ATTR_NODUMP
  private static let noDump: UInt64 = 0x40

  /// The names of which alone a directory is to be taken; nil where it has no marker.
  func markersPresent(
    in listing: DirectoryListing, _ directory: CInt
  ) -> [[UInt8]]? {
    guard leavesCachesOut || !markers.isEmpty else { return nil }
    var present: [[UInt8]] = []
    for marker in leavesCachesOut ? markers + [.cache] : markers
    where listing.contains(marker.name) && marker.isValid(in: directory) {
      present.append(marker.name)
    }
    return present.isEmpty ? nil : present
  }
}

/// A file whose presence says that a directory need not be backed up.
package struct DirectoryMarker: Sendable, Equatable {
  package let name: [UInt8]
  /// What the file must begin with.
  package let beginning: [UInt8]

  package init(name: [UInt8], beginning: [UInt8] = []) {
    self.name = name
    self.beginning = beginning
  }

  /// The Cache Directory Tagging Specification, https://bford.info/cachedir/
  static let cache = DirectoryMarker(
    name: Array("CACHEDIR.TAG".utf8),
    beginning: Array("Signature: 8a477f597d28d172789f06886806bc55".utf8))

  func isValid(in directory: CInt) -> Bool {
    if beginning.isEmpty { return true }
    do throws(DiskError) {
      let file = try withCString(name) { (name) throws(DiskError) in
        try FileCalls.openForReading(at: directory, name, path: "a marker")
      }
      let buffer = Buffer(capacity: beginning.count)
      let got = try FileCalls.read(file.descriptor, into: buffer.bytes, path: "a marker")
      return buffer.bytes[..<got].elementsEqual(beginning)
    } catch {
      // What cannot be read says nothing.
      return false
    }
  }
}

/// File systems that show the kernel's state and hold no files, by their magic numbers in
/// linux/magic.h.
enum PseudoFileSystem {
  private static let types: Set<UInt64> = [
    0x9FA0,  // proc
    0x6265_6572,  // sysfs
    0x1CD1,  // devpts
    0x0027_E0EB, 0x6367_7270,  // cgroup, cgroup2
    0x6462_6720, 0x7472_6163,  // debugfs, tracefs
    0x7363_6673,  // securityfs
    0x6165_676C,  // pstore
    0xCAFE_4A11,  // bpf
    0x6265_6570,  // configfs
    0x6573_5543,  // fusectl
    0x9584_58F6,  // hugetlbfs
    0x1980_0202,  // mqueue
    0xDE5E_81E4,  // efivarfs
    0x4249_4E4D,  // binfmt_misc
    0x0187,  // autofs
    0x6759_6969,  // rpc_pipefs
    0x6E73_6673,  // nsfs
    0xF97C_FF8C,  // selinuxfs
    0x4341_5D53,  // smackfs
    0x6E66_7364,  // nfsd
    0x0BAD_1DEA,  // futexfs
  ]

  static func holds(_ directory: CInt) -> Bool {
    guard let type = try? FileCalls.fileSystemType(of: directory, path: "") else { return false }
    return types.contains(type)
  }
}
