import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// Chunks that were made to have the same fingerprint are different chunks, wherever they meet.
@Suite struct CraftedCollisionTests {
  private func family(_ repository: TestRepository, _ byteCount: Int) -> CollisionFamily {
    CollisionFamily(
      secret: repository.store.header.fingerprintSecret, byteCount: byteCount, seed: 1)
  }

  /// The vectors are what they say: else the tests here would test nothing.
  @Test(arguments: [256, 300, 1024, 1088, 5000, 100_000])
  func theFingerprintsCollideAndTheTagsDoNot(byteCount: Int) throws {
    for _ in 0..<3 {
      let repository = try TestRepository()
      let family = family(repository, byteCount)
      let members = [0, 1, 2, 77, 0x8000_0000, .max].map { family.member($0) }
      #expect(Set(members).count == members.count)
      let identities = members.map { member in
        member.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
      }
      #expect(Set(identities.map(\.fingerprint)).count == 1)
      #expect(Set(identities.map(\.tag)).count == members.count)
    }
  }

  /// Fixed before the secret is drawn, two collide under every secret; the tags tell them apart.
  @Test(arguments: [1088, 30_000]) func aBlindFamilyCollidesUnderEverySecret(byteCount: Int) throws
  {
    let family = BlindFamily(byteCount: byteCount, seed: 5)
    for _ in 0..<2 {
      let repository = try TestRepository()
      let secret = repository.store.header.fingerprintSecret
      let found = try #require(family.collision(under: secret))
      let members = [family.member(found.first), family.member(found.second)]
      #expect(members[0] != members[1])
      let identities = members.map { member in
        member.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
      }
      #expect(identities[0].fingerprint == identities[1].fingerprint)
      #expect(identities[0].tag != identities[1].tag)
      let written = try repository.commit(members)
      #expect(written.newCount == 2)
      #expect(try repository.reopened().holds(members, at: written.references))
    }
  }

  /// Whoever holds the secrets collides the tags as well; SHA-256 is another matter.
  @Test(arguments: [256, 5000]) func underKnownSecretsOnlySHA256TellsApart(byteCount: Int) throws {
    let header = try TestRepository().store.header
    let weak = try Identifying(secret: header.fingerprintSecret, tagKey: header.tagKey)
    let strong = try Identifying(
      secret: header.fingerprintSecret, tagKey: header.tagKey, method: .sha256)
    let pair = try #require(
      ForgedPair(
        secret: header.fingerprintSecret, identifying: weak, byteCount: byteCount, seed: 6))
    #expect(pair.first != pair.second)
    func identity(_ bytes: [UInt8], _ identifying: Identifying) -> ChunkIdentity {
      bytes.withUnsafeBytes { identifying.identity(of: $0) }
    }
    #expect(identity(pair.first, weak) == identity(pair.second, weak))
    #expect(identity(pair.first, strong) != identity(pair.second, strong))
  }

  /// In one session, in one container and in several, and against what older sessions stored.
  @Test func everyMemberIsStoredAndReadApart() throws {
    let repository = try TestRepository()
    let family = family(repository, 1088)
    let sessions: [[UInt32]] = [[1, 2, 3], [3, 4], [5, 1], [6]]
    var references: [UInt32: ChunkReference] = [:]
    for numbers in sessions {
      let session = try WriteSession(store: try repository.reopened())
      defer { session.end() }
      var needed: Set<Identifier> = []
      for number in numbers {
        // A container of its own for each.
        let writer = session.makeContainerWriter(isManifest: false)
        let put = try session.put(family.member(number), into: writer)
        #expect(put.isNew == (references[number] == nil), "member \(number)")
        let again = try session.put(family.member(number), into: writer)
        #expect(!again.isNew && again.reference == put.reference)
        try writer.finish()
        references[number] = put.reference
        needed.insert(put.reference.location.container)
      }
      _ = try session.commit(draft(root: references[numbers[0]]), needed: needed)
    }
    let written = try repository.commit((10..<40).map { family.member($0) })
    #expect(written.newCount == 30)
    let store = try repository.reopened()
    let reader = ChunkReader(store: store)
    for (number, reference) in references {
      #expect(try reader.read(reference) == family.member(number), "member \(number)")
    }
    for (number, reference) in zip(10..<40 as Range<UInt32>, written.references) {
      #expect(try reader.read(reference) == family.member(number), "member \(number)")
      // A hint that points at another member is stale, not true.
      let stale = ChunkReference(
        identity: reference.identity, length: reference.length,
        location: try #require(references[1]).location)
      #expect(try reader.read(stale) == family.member(number))
    }
  }

  /// The index that readers use finds each by itself.
  @Test func theIndexTellsThemApart() throws {
    let repository = try TestRepository()
    let family = family(repository, 20_000)
    let members = (0..<50 as Range<UInt32>).map { family.member($0) }
    let references = try repository.commit(members).references
    let index = try repository.reopened().index()
    for (reference, member) in zip(references, members) {
      let identity = member.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
      #expect(try index.find(identity) == reference.location)
    }
    let stranger = family.member(51)
    let identity = stranger.withUnsafeBytes { repository.store.identifying.identity(of: $0) }
    #expect(try index.find(identity) == nil)
  }
}
