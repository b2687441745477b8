internal import CMuninn
internal import Crypto

/// 128 bits as two words.
package struct Pair128: Hashable, Sendable {
  package let low: UInt64
  package let high: UInt64

  package init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }
}

/// How a repository's chunks are told apart; decided when it is made.
package enum IdentityMethod: Sendable, Equatable, CaseIterable {
  /// XXH3-128 keyed with the repository's secret as fingerprint, and GMAC as tag: as fast as
  /// memory, and sound unless whoever chooses the content holds the secrets.
  case xxh3
  /// SHA-256 over the tag key and the chunk: sound also then.
  case sha256
}

/// What makes two chunks equal: fingerprint and tag both match.
///
/// The fingerprint is XXH3-128 keyed with the repository's secret. It is fast, and not safe against
/// a crafted input: the tag, a keyed universal hash (GMAC), is what an attacker who does not hold
/// the key cannot collide. By `IdentityMethod.sha256` the two are the halves of one SHA-256.
package struct ChunkIdentity: Hashable, Sendable {
  package let fingerprint: Pair128
  package let tag: Pair128

  package static let byteCount = 32

  package init(fingerprint: Pair128, tag: Pair128) {
    self.fingerprint = fingerprint
    self.tag = tag
  }
}

/// Where a chunk lies: a container, and the chunk's ordinal in the container's directory.
package struct ChunkLocation: Hashable, Sendable {
  package let container: Identifier
  package let slot: UInt32

  package init(container: Identifier, slot: UInt32) {
    self.container = container
    self.slot = slot
  }
}

/// A chunk as a manifest names it. The location is a hint: where it is stale, the index knows the
/// present one.
package struct ChunkReference: Hashable, Sendable {
  package let identity: ChunkIdentity
  /// Bytes of the chunk, not compressed.
  package let length: UInt32
  package let location: ChunkLocation

  package init(identity: ChunkIdentity, length: UInt32, location: ChunkLocation) {
    self.identity = identity
    self.length = length
    self.location = location
  }
}

/// Computes identities with one repository's secrets.
package struct Identifying: Sendable {
  private let secret: [UInt8]
  private let tagKey: SymmetricKey
  private let nonce: AES.GCM.Nonce
  private let method: IdentityMethod

  /// `secret` has 192 bytes, `tagKey` 32.
  package init(
    secret: [UInt8], tagKey: [UInt8], method: IdentityMethod = .xxh3
  ) throws(FormatError) {
    guard secret.count == Int(MN_SECRET_SIZE), tagKey.count == 32 else {
      throw FormatError(.invalidValue, "secrets of \(secret.count) and \(tagKey.count) bytes")
    }
    self.secret = secret
    self.method = method
    self.tagKey = SymmetricKey(data: tagKey)
    // One fixed nonce turns GMAC into a keyed universal hash plus a constant: tags are compared,
    // never shown to whom the key is hidden from, so that nothing is signed with it.
    do {
      nonce = try AES.GCM.Nonce(data: [UInt8](repeating: 0, count: 12))
    } catch {
      throw FormatError(.invalidValue, "a nonce of 12 bytes was refused")
    }
  }

  package func identity(of chunk: UnsafeRawBufferPointer) -> ChunkIdentity {
    switch method {
    case .xxh3: ChunkIdentity(fingerprint: fingerprint(of: chunk), tag: tag(of: chunk))
    case .sha256: digest(of: chunk)
    }
  }

  /// Whether a chunk of a block that was checked is the one that was stored under an identity.
  ///
  /// The fingerprint alone tells: damage does not keep it, and whoever could make bytes that do has
  /// the block's key, and the tag's as well. The tag is for chunks that are deduplicated, which
  /// come from anybody.
  package func isIntact(_ chunk: UnsafeRawBufferPointer, as identity: ChunkIdentity) -> Bool {
    switch method {
    case .xxh3: fingerprint(of: chunk) == identity.fingerprint
    case .sha256: digest(of: chunk) == identity
    }
  }

  private func digest(of chunk: UnsafeRawBufferPointer) -> ChunkIdentity {
    var hash = SHA256()
    tagKey.withUnsafeBytes { hash.update(bufferPointer: $0) }
    hash.update(bufferPointer: chunk)
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let digest = hash.finalize()
    withUnsafeMutableBytes(of: &words) { target in
      digest.withUnsafeBytes { target.copyMemory(from: $0) }
    }
    return ChunkIdentity(
      fingerprint: Pair128(
        low: UInt64(littleEndian: words.0), high: UInt64(littleEndian: words.1)),
      tag: Pair128(low: UInt64(littleEndian: words.2), high: UInt64(littleEndian: words.3)))
  }

  /// XXH3-128 under the secret.
  package func fingerprint(of chunk: UnsafeRawBufferPointer) -> Pair128 {
    let data = chunk.bindMemory(to: UInt8.self)
    let value = secret.withUnsafeBufferPointer {
      mn_fingerprint_of($0.baseAddress, data.baseAddress, data.count)
    }
    return Pair128(low: value.low, high: value.high)
  }

  /// GMAC under the tag key.
  package func tag(of chunk: UnsafeRawBufferPointer) -> Pair128 {
    // Sealing fails for inputs over 64 GiB alone; a chunk is at most 16 MiB, and a tag of zeros
    // would only cost a duplicate, never join two chunks: both sides are compared with the
    // fingerprint as well.
    guard
      let box = try? AES.GCM.seal(
        [UInt8](), using: tagKey, nonce: nonce, authenticating: chunk),
      let sealed = box.combined
    else { return Pair128(low: 0, high: 0) }
    // The nonce, no ciphertext, and the tag: a slice of them would be one more object a chunk.
    return withBytes(of: sealed) { bytes in
      guard bytes.count >= 16 else { return Pair128(low: 0, high: 0) }
      let low = bytes.loadUnaligned(fromByteOffset: bytes.count - 16, as: UInt64.self)
      let high = bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self)
      return Pair128(low: UInt64(littleEndian: low), high: UInt64(littleEndian: high))
    }
  }
}

/// XXH3-64, unkeyed: tells damage from what was written, to whoever has no key too.
package func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  let data = bytes.bindMemory(to: UInt8.self)
  return mn_checksum(data.baseAddress, data.count)
}
