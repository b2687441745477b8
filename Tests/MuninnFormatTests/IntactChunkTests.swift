import MuninnFormat
import Testing

@Suite struct IntactChunkTests {
  @Test(arguments: [IdentityMethod.xxh3, .sha256], [0, 1, 16, 240, 5000, 200_000])
  func aChunkIsIntactUntilABitOfItChanges(method: IdentityMethod, byteCount: Int) throws {
    let identifying = try Identifying(
      secret: (0..<192).map { UInt8($0) }, tagKey: [UInt8](repeating: 7, count: 32),
      method: method)
    var chunk = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 131) }
    let identity = chunk.withUnsafeBytes { identifying.identity(of: $0) }
    #expect(chunk.withUnsafeBytes { identifying.isIntact($0, as: identity) })
    for place in [0, byteCount / 2, byteCount - 1] where chunk.indices.contains(place) {
      chunk[place] ^= 0x10
      #expect(!chunk.withUnsafeBytes { identifying.isIntact($0, as: identity) })
      chunk[place] ^= 0x10
    }
  }
}
