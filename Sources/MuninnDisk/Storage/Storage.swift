/// One object of a repository.
package struct StoredObject: Sendable, Equatable {
  package let name: String
  /// In bytes.
  package let size: UInt64

  package init(name: String, size: UInt64) {
    self.name = name
    self.size = size
  }
}

/// Where the objects of a repository live: a directory, a bucket, or memory in tests.
///
/// Object names are relative paths of the characters `a-z A-Z 0-9 . _ - /`; see `ObjectName`. A
/// name that is not throws EINVAL. An absent object throws ENOENT. Every operation may be called
/// from several threads at a time.
package protocol Storage: Sendable {
  /// For people: where this is.
  var location: String { get }

  /// The whole object. Throws EFBIG where it is larger than `maximumByteCount`.
  func read(_ name: String, maximumByteCount: Int) throws(DiskError) -> [UInt8]

  /// Reads from `offset` on until the buffer is full; returns the number of bytes read, which is
  /// less only at the object's end.
  func read(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int

  /// The same for what is hardly wanted again: it stays in no cache that it was not in.
  func readOnce(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int

  /// In bytes.
  func size(of name: String) throws(DiskError) -> UInt64

  /// Creates the object with these bytes, or returns false where the name exists already (and
  /// nothing changed). When it returns, true or false, the name and its content are durable. After
  /// an error either may be the case: read the name to know.
  func putIfAbsent(_ name: String, _ bytes: [UInt8]) throws(DiskError) -> Bool

  /// Replaces or creates atomically and durably: a reader finds the old content or the new. Only
  /// for hints and sessions.
  func put(_ name: String, _ bytes: [UInt8]) throws(DiskError)

  /// A new object, written front to back. Its name appears with `finish`, not before, and is
  /// durable once `makeNamesDurable` returned after that. `expectedByteCount` is a hint.
  func create(_ name: String, expectedByteCount: UInt64) throws(DiskError) -> any ObjectWriter

  /// Makes durable the names of all objects that this storage's writers have finished before. After
  /// an error none of them may be relied on, and the storage keeps throwing it here: what could not
  /// be written may be gone, and a second attempt would not notice.
  func makeNamesDurable() throws(DiskError)

  /// Makes sure of an object that somebody else created: when this returns, its name and content
  /// are durable, so that what is built on it cannot outlive it.
  func makeDurable(_ name: String) throws(DiskError)

  /// All objects below a prefix directory ("journal", "journal/", or "" for all), recursively,
  /// sorted by name. An absent prefix is empty. Temporary files are not listed.
  func list(_ prefix: String) throws(DiskError) -> [StoredObject]

  /// The same, and of these only the objects whose names sort behind `name`; the others cost
  /// little.
  func list(_ prefix: String, after name: String) throws(DiskError) -> [StoredObject]

  /// Deletes; absent is not an error. Not durable by itself: after a crash the object may be back.
  func delete(_ name: String) throws(DiskError)

  /// Free bytes for this user, nil where unknown.
  func freeByteCount() throws(DiskError) -> UInt64?
}

extension Storage {
  package func readOnce(
    _ name: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int { try read(name, at: offset, into: buffer) }

  package func list(_ prefix: String, after name: String) throws(DiskError) -> [StoredObject] {
    let objects = try list(prefix)
    return objects.filter { $0.name > name }
  }
}

/// An object being written, by one thread at a time. Dropping it without `finish` discards it.
package protocol ObjectWriter: AnyObject, Sendable {
  /// Adds to the end. After an error only `discard` makes sense.
  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError)

  /// What was appended so far.
  var byteCount: UInt64 { get }

  /// The content is on stable storage and the object is there under its name (EEXIST where the name
  /// was taken meanwhile) when it returns. After an error the object is to be discarded and written
  /// anew, never finished again.
  func finish() throws(DiskError)

  /// Removes what was written. After `finish` it does nothing.
  func discard()
}
