package import MuninnDisk
package import MuninnFormat

/// An open repository.
///
/// Invariant: what is reachable from the journal is durable and never changes; everything else in
/// the storage is either being written by a session or garbage, and is ignored.
package final class Store: Sendable {
  package let storage: any Storage
  package let header: RepositoryHeader
  package let identifying: Identifying
  let masterKey: MasterKey?
  let containers = ContainerCache()
  private let readIndex = Monitor<ChunkIndex?>(nil)

  init(storage: any Storage, header: RepositoryHeader, masterKey: MasterKey?)
    throws(StoreError)
  {
    self.storage = storage
    self.header = header
    self.masterKey = masterKey
    identifying = try decoding(ObjectName.repository) { () throws(FormatError) in
      try Identifying(secret: header.fingerprintSecret, tagKey: header.tagKey)
    }
  }

  /// Makes a repository in an empty storage.
  ///
  /// One put-if-absent of the header is the whole act: before it there is no repository, after it
  /// there is one.
  package static func create(
    in storage: any Storage, averageChunkSize: UInt32?, isShared: Bool
  ) throws(StoreError) -> Store {
    let sizes = try ChunkSizes(average: averageChunkSize)
    let header = RepositoryHeader(
      repository: randomIdentifier(), suite: .none, minimumChunkSize: sizes.minimum,
      averageChunkSize: sizes.average, maximumChunkSize: sizes.maximum, isShared: isShared,
      createdNanoseconds: Machine.nowNanoseconds(),
      fingerprintSecret: Machine.randomBytes(192), tagKey: Machine.randomBytes(32))
    let bytes = try decoding(ObjectName.repository) { () throws(FormatError) in
      try header.encoded()
    }
    let isNew = try onDisk(ObjectName.repository) { () throws(DiskError) in
      try storage.putIfAbsent(ObjectName.repository, bytes)
    }
    guard isNew else {
      throw StoreError(
        .alreadyExists, "\(storage.location) holds a repository already: use it as it is")
    }
    return try Store(storage: storage, header: header, masterKey: nil)
  }

  /// Opens the repository in a storage. Throws `notARepository` where there is none.
  package static func open(in storage: any Storage) throws(StoreError) -> Store {
    let bytes: [UInt8]
    do throws(DiskError) {
      bytes = try storage.read(ObjectName.repository, maximumByteCount: 1 << 16)
    } catch {
      guard error.isNotFound else { throw StoreError(error, object: ObjectName.repository) }
      throw StoreError(
        .notARepository, "\(storage.location) is not a repository: make one with init first")
    }
    let header: RepositoryHeader
    do throws(FormatError) {
      header = try RepositoryHeader(decoding: bytes)
    } catch {
      guard error.code == .wrongKind else {
        throw StoreError(error, object: ObjectName.repository)
      }
      throw StoreError(
        .notARepository,
        "\(storage.location) is not a repository: its file 'repository' is something else")
    }
    return try Store(storage: storage, header: header, masterKey: nil)
  }

  /// The index over what is committed, for readers; made when it is first needed.
  package func index() throws(StoreError) -> ChunkIndex {
    if let known = readIndex.withLock({ $0 }), !known.needsReopening { return known }
    let made = try ChunkIndex(store: self, journal: try loadJournal())
    readIndex.withLock { $0 = made }
    return made
  }

  /// An envelope for a new object, with a salt of its own where the repository encrypts.
  func newEnvelope(kind: ObjectKind, object: Identifier) -> Envelope {
    let salt =
      header.suite == .none
      ? [UInt8](repeating: 0, count: Envelope.saltByteCount)
      : Machine.randomBytes(Envelope.saltByteCount)
    return Envelope(
      kind: kind, suite: header.suite, repository: header.repository, object: object, salt: salt)
  }
}

package func randomIdentifier() -> Identifier {
  let bytes = Machine.randomBytes(16)
  return bytes.withUnsafeBytes {
    Identifier(
      high: $0.loadUnaligned(as: UInt64.self),
      low: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }
}

/// The chunk sizes of a repository, in bytes, from their average.
struct ChunkSizes {
  /// The smallest whose filters leave room in 8 GiB at 100 TiB of unique data: see RESULTS.md.
  static let defaultAverage: UInt32 = 32 << 10

  let minimum: UInt32
  let average: UInt32
  let maximum: UInt32

  init(average: UInt32?) throws(StoreError) {
    let average = average ?? ChunkSizes.defaultAverage
    guard average >= 4 << 10, average <= 4 << 20, average & (average - 1) == 0 else {
      throw StoreError(
        .invalidInput,
        "an average chunk size of \(average) bytes: it must be a power of two from 4 KiB to 4 MiB")
    }
    self.average = average
    minimum = average / 4
    maximum = average * 4
  }
}
