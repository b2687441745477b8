/// The version that this build writes, and the newest that it reads. Until 1.0 a format may change,
/// never silently.
package let formatVersion: UInt16 = 2

/// Limits on what is read from disk. A value over its limit is damage, or an attack, and is refused
/// before memory is taken for it.
package enum FormatLimit {
  /// Bytes of one chunk, and of one manifest page.
  package static let chunkByteCount = 16 << 20
  /// Bytes of one block, before compression.
  package static let blockByteCount = 32 << 20
  /// Chunks and blocks of one container.
  package static let chunksPerContainer = 1 << 22
  /// Bytes of one journal record.
  package static let recordByteCount = 256 << 20
  /// Bytes of a checkpoint, before compression.
  package static let checkpointByteCount = 4 << 30
  /// Bytes of a path below the root. PATH_MAX does not bound it: deep trees are walked by
  /// descriptors.
  package static let pathByteCount = 1 << 20
  package static let nameByteCount = 4096
  /// Bytes of one extended attribute's value: what Linux allows, and then some.
  package static let attributeByteCount = 1 << 20
  package static let attributesPerEntry = 4096
  /// Bytes of a file's content that is kept in its entry instead of in a chunk.
  package static let inlineByteCount = 128
  /// Extents in an entry; more go to pages of their own.
  package static let extentsPerEntry = 64
  /// Chunks of container ids in an entry; the writer puts 65,536 into each.
  package static let containerListsPerEntry = 4096
  /// Bytes of all paths of a page together, each in full: shared prefixes would let a small page
  /// ask for any amount of memory. The writer ends a page at a quarter of it.
  package static let pathBytesPerPage = 64 << 20
  package static let entriesPerPage = 1 << 20
  /// Levels of a manifest's or a file's tree of pages.
  package static let treeLevels = 12
}
