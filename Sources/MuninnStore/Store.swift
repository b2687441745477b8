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
  /// The header's bytes, as they are to lie under its name and its copy's.
  let headerBytes: [UInt8]
  /// Why the header was read from its copy, if it was.
  package let headerProblem: StoreError?
  private let keyRing: Monitor<KeyRing?>
  let containers: ContainerCache
  package let contention: Contention
  #if DEBUG
    package let syncPoints: SyncPoints
  #endif
  private let readIndex = Monitor<ChunkIndex?>(nil)
  /// The live containers as of the newest journal that was followed.
  private let view: Monitor<(head: UInt64, live: [Identifier: ContainerRecord])?>

  init(
    storage: any Storage, header: RepositoryHeader, keys: KeyRing?, headerBytes: [UInt8],
    headerProblem: StoreError? = nil
  ) throws(StoreError) {
    self.storage = storage
    self.headerBytes = headerBytes
    self.headerProblem = headerProblem
    self.header = header
    keyRing = Monitor(keys)
    containers = ContainerCache()
    contention = Contention()
    view = Monitor(nil)
    #if DEBUG
      syncPoints = SyncPoints()
    #endif
    identifying = try decoding(ObjectName.repository) { () throws(FormatError) in
      try Identifying(
        secret: header.fingerprintSecret, tagKey: header.tagKey, method: header.identityMethod)
    }
  }

  /// The same repository again, over all that `other` has but its index: what an index that `other`
  /// keeps may hold on to, without keeping it for ever.
  private init(withoutIndexOf other: Store) {
    storage = other.storage
    headerBytes = other.headerBytes
    headerProblem = other.headerProblem
    header = other.header
    keyRing = other.keyRing
    containers = other.containers
    contention = other.contention
    view = other.view
    #if DEBUG
      syncPoints = other.syncPoints
    #endif
    identifying = other.identifying
  }

  /// The master keys; nil where the repository is not encrypted. A new object is sealed under the
  /// newest.
  var keys: KeyRing? { keyRing.withLock { $0 } }

  /// From a rotation on, of this store or of nobody else's.
  func use(_ keys: KeyRing) { keyRing.withLock { $0 = keys } }

  /// Makes a repository in an empty storage; with a key, an encrypted one.
  ///
  /// One put-if-absent of the header is the whole act: before it there is no repository, after it
  /// there is one. Its key slot lies there before it, so that it can always be opened.
  package static func create(
    in storage: any Storage, averageChunkSize: UInt32?, isShared: Bool, key: NewKey? = nil,
    identityMethod: IdentityMethod = .xxh3
  ) throws(StoreError) -> Store {
    let sizes = try ChunkSizes(average: averageChunkSize)
    var header = RepositoryHeader(
      repository: randomIdentifier(), suite: key == nil ? .none : .aes256gcm,
      minimumChunkSize: sizes.minimum, averageChunkSize: sizes.average,
      maximumChunkSize: sizes.maximum, isShared: isShared,
      createdNanoseconds: Machine.nowNanoseconds(),
      fingerprintSecret: Machine.randomBytes(192), tagKey: Machine.randomBytes(32))
    header.identityMethod = identityMethod
    let master = key.map { _ in MasterKey.random() }
    let keys = master.map { KeyRing(first: $0) }
    let salt = key == nil ? [UInt8](repeating: 0, count: 32) : Machine.randomBytes(32)
    let bytes = try decoding(ObjectName.repository) { () throws(FormatError) in
      try header.encoded(salt: salt, masterKey: master)
    }
    var slot: KeySlot?
    if let key, let keys {
      let made = try makeSlot(key, over: keys, repository: header.repository)
      try putSlot(made, in: storage)
      slot = made
    }
    let isNew = try onDisk(ObjectName.repository) { () throws(DiskError) in
      try storage.putIfAbsent(ObjectName.repository, bytes)
    }
    guard isNew else {
      if let slot { try? storage.delete(ObjectName.key(slot.id)) }
      throw StoreError(
        .alreadyExists, "\(storage.location) holds a repository already: use it as it is")
    }
    removeStrayKeys(in: storage, but: slot)
    // Should this fail there is a repository all the same: the first session writes the copy.
    try? storage.put(ObjectName.repositoryCopy, bytes)
    return try Store(storage: storage, header: header, keys: keys, headerBytes: bytes)
  }

  /// Slots of attempts that never came to a repository. Only now that this one has won the place
  /// is it certain that they are nobody's.
  private static func removeStrayKeys(in storage: any Storage, but slot: KeySlot?) {
    let own = slot.map { ObjectName.key($0.id) }
    for object in (try? storage.list(ObjectName.keyPrefix)) ?? [] where object.name != own {
      try? storage.delete(object.name)
    }
  }

  /// Opens the repository in a storage: by its header, or where that is damaged or lost by the
  /// header's copy. Throws `notARepository` where there is none, and `wrongKey` where it is
  /// encrypted and this is not its key, or is not and a key was given.
  package static func open(
    in storage: any Storage, key: KeyMaterial? = nil
  ) throws(StoreError) -> Store {
    do throws(StoreError) {
      return try open(by: ObjectName.repository, in: storage, key: key, problem: nil)
    } catch {
      switch error.code {
      case .damaged, .notARepository, .inputOutput: break
      default: throw error
      }
      guard (try? storage.size(of: ObjectName.repositoryCopy)) != nil else { throw error }
      let problem = StoreError(.damaged, error.message, object: ObjectName.repository)
      do throws(StoreError) {
        return try open(by: ObjectName.repositoryCopy, in: storage, key: key, problem: problem)
      } catch let second {
        throw second.code == .wrongKey ? second : error
      }
    }
  }

  private static func open(
    by name: String, in storage: any Storage, key: KeyMaterial?, problem: StoreError?
  ) throws(StoreError) -> Store {
    let bytes: [UInt8]
    do throws(DiskError) {
      bytes = try storage.read(name, maximumByteCount: 1 << 16)
    } catch {
      guard error.isNotFound else { throw StoreError(error, object: name) }
      throw StoreError(
        .notARepository, "\(storage.location) is not a repository: make one with init first")
    }
    let envelope: Envelope
    do throws(FormatError) {
      envelope = try bytes.withUnsafeBytesTyped { (raw) throws(FormatError) in
        try Envelope(decoding: raw)
      }
    } catch {
      guard error.code == .wrongKind else { throw StoreError(error, object: name) }
      throw StoreError(
        .notARepository,
        "\(storage.location) is not a repository: its file 'repository' is something else")
    }
    let keys = try unlock(envelope, in: storage, with: key)
    let header = try decoding(name) { () throws(FormatError) in
      try RepositoryHeader(
        decoding: bytes,
        masterKey: try keys.map { (keys) throws(FormatError) in try keys.master(envelope.key) })
    }
    return try Store(
      storage: storage, header: header, keys: keys, headerBytes: bytes, headerProblem: problem)
  }

  /// The index over what is committed, for readers; made when it is first needed.
  package func index() throws(StoreError) -> ChunkIndex {
    if let known = readIndex.withLock({ $0 }), !known.needsReopening { return known }
    let made = try ChunkIndex(store: Store(withoutIndexOf: self), journal: try loadJournal())
    readIndex.withLock { $0 = made }
    return made
  }

  /// Takes note of the journal's newest state: what was opened of containers that have left it, and
  /// an index that does not know it, are let go. So a process that lives long follows collections.
  package func follow(_ journal: JournalState) {
    let isNews = view.withLock { view in
      guard journal.problems.isEmpty, journal.head > (view?.head ?? 0) else { return false }
      view = (journal.head, journal.containers)
      return true
    }
    guard isNews else { return }
    readIndex.withLock { if let known = $0, known.head < journal.head { $0 = nil } }
    containers.keep { journal.containers[$0] != nil }
  }

  /// Follows the journal if there is a record that this process has not seen; says whether it did.
  func followIfBehind() throws(StoreError) -> Bool {
    let known = max(view.withLock { $0?.head } ?? 0, readIndex.withLock { $0?.head } ?? 0)
    guard hasRecord(known + 1) else { return false }
    follow(try loadJournal())
    return true
  }

  /// False for a container that has left the live ones, as far as the journal was followed.
  func mayBeLive(_ container: Identifier) -> Bool {
    view.withLock { $0.map { $0.live[container] != nil } ?? true }
  }

  /// An envelope for a new object, with a salt of its own where the repository encrypts.
  func newEnvelope(kind: ObjectKind, object: Identifier) -> Envelope {
    let salt =
      header.suite == .none
      ? [UInt8](repeating: 0, count: Envelope.saltByteCount)
      : Machine.randomBytes(Envelope.saltByteCount)
    return Envelope(
      kind: kind, suite: header.suite, repository: header.repository, object: object, salt: salt,
      key: keys?.newest ?? .none)
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
