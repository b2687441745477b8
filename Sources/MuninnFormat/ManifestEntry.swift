/// What kind of file an entry is.
package enum EntryKind: UInt8, Sendable {
  case file = 1
  case directory = 2
  case symlink = 3
  case fifo = 4
  case socket = 5
  case characterDevice = 6
  case blockDevice = 7
}

/// A name and a value. POSIX ACLs are attributes of the name space `system.`.
package struct NamedAttribute: Sendable, Equatable {
  package let name: [UInt8]
  package let value: [UInt8]

  package init(name: [UInt8], value: [UInt8]) {
    self.name = name
    self.value = value
  }
}

/// A run of a file's content.
package enum Extent: Sendable, Equatable {
  case chunk(ChunkReference)
  /// Bytes that the source did not allocate; they read as zeros and are restored as a hole.
  case hole(UInt64)

  package var byteCount: UInt64 {
    switch self {
    case .chunk(let reference): UInt64(reference.length)
    case .hole(let count): count
    }
  }
}

/// The root of a tree of pages: of a manifest, or of a long file's extents.
package struct TreeRoot: Sendable, Hashable {
  /// 0 where the root is a leaf itself.
  package let level: UInt8
  package let page: ChunkReference

  package init(level: UInt8, page: ChunkReference) {
    self.level = level
    self.page = page
  }
}

/// Where an entry's content is.
package enum EntryContent: Sendable, Equatable {
  case none
  /// The content itself, up to `FormatLimit.inlineByteCount` bytes.
  case inline([UInt8])
  /// In file order; their lengths add up to the size.
  case extents([Extent])
  /// A tree whose leaves are pages of extents, with the containers that the tree and its chunks
  /// need: chunks of ids, 16 bytes each, so that an unchanged file of any size joins a snapshot
  /// without a walk through its extents.
  case tree(TreeRoot, containerLists: [ChunkReference])
}

/// Whether other entries name the same inode.
package enum HardLink: Sendable, Equatable {
  case none
  /// The first entry, in path order, of several.
  case first
  /// A later one; the path is the first one's.
  case later([UInt8])
}

/// One entry of a snapshot's tree: everything that a restore needs.
package struct ManifestEntry: Sendable, Equatable {
  /// Below the root, components separated by `/`; empty for the root itself.
  package var path: [UInt8]
  package var kind: EntryKind
  /// The low 12 bits of `st_mode`.
  package var mode: UInt16 = 0
  package var userID: UInt32 = 0
  package var groupID: UInt32 = 0
  package var userName: [UInt8] = []
  package var groupName: [UInt8] = []
  /// Nanoseconds since 1970, UTC.
  package var modifiedNanoseconds: Int64 = 0
  package var changedNanoseconds: Int64 = 0
  package var birthNanoseconds: Int64 = 0
  package var inode: UInt64 = 0
  package var size: UInt64 = 0
  package var deviceMajor: UInt32 = 0
  package var deviceMinor: UInt32 = 0
  package var linkTarget: [UInt8] = []
  package var hardLink = HardLink.none
  package var attributes: [NamedAttribute] = []
  /// `FS_IOC_GETFLAGS` flags that a restore sets again (immutable, append only, no dump, ...).
  package var inodeFlags: UInt32 = 0
  package var content = EntryContent.none
  /// The file changed while it was read, each time that it was tried.
  package var isUnstable = false
  /// A repair found that the repository had not all of the content. Extents are kept as they were:
  /// chunks that come back with a later backup are found again.
  package var isDamaged = false

  package init(path: [UInt8], kind: EntryKind) {
    self.path = path
    self.kind = kind
  }
}

/// The order of a depth-first walk: `/` sorts below every other byte, so `a`, `a/b`, `a-b`.
package func pathPrecedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  comparePaths(left, right) < 0
}

/// Negative, zero or positive as `left` comes before, is, or comes after `right`.
package func comparePaths(_ left: [UInt8], _ right: [UInt8]) -> Int {
  left.withUnsafeBufferPointer { a in
    right.withUnsafeBufferPointer { b in
      let shared = min(a.count, b.count)
      for index in 0..<shared where a[index] != b[index] {
        if a[index] == 0x2F { return -1 }
        if b[index] == 0x2F { return 1 }
        return a[index] < b[index] ? -1 : 1
      }
      return a.count - b.count
    }
  }
}
