internal import Glibc
internal import MuninnDisk
package import MuninnFormat
internal import MuninnStore

/// What opens an encrypted repository: a passphrase, or the content of a key file.
///
/// The bytes lie in memory of their own that is zeroed in the end. No description shows them.
public struct RepositoryKey: Sendable {
  let material: KeyMaterial
  /// What scrypt is to cost where a slot is made for it: less in tests, which make many.
  package var cost = ScryptCost.standard

  private init(_ material: KeyMaterial) { self.material = material }

  /// Throws `invalidInput` where it is empty.
  public static func passphrase(_ text: String) throws(MuninnError) -> RepositoryKey {
    var bytes = Array(text.utf8)
    return try passphrase(zeroing: &bytes)
  }

  /// A passphrase of any bytes. The array is zeroed: nobody else should hold a copy of it.
  ///
  /// Throws `invalidInput` where it is empty.
  public static func passphrase(
    zeroing bytes: inout [UInt8]
  ) throws(MuninnError) -> RepositoryKey {
    guard !bytes.isEmpty else {
      throw MuninnError(.invalidInput, "the passphrase is empty: choose one of some words")
    }
    return RepositoryKey(.passphrase(Secret(taking: &bytes)))
  }

  /// The passphrase in the first line of a file, without the line's end.
  ///
  /// Throws `notFound`, `accessDenied` and `inputOutput` for the file, `invalidInput` where the
  /// line is empty or another follows.
  public static func passphrase(inFile path: String) throws(MuninnError) -> RepositoryKey {
    var bytes = try content(of: path)
    defer { zero(&bytes) }
    var line = Array(bytes.prefix { $0 != 0x0A })
    if line.last == 0x0D { line.removeLast() }
    defer { zero(&line) }
    guard bytes.count <= line.count + 2, !line.isEmpty else {
      throw MuninnError(
        .invalidInput, "\(path) does not hold one line: a passphrase file holds nothing else",
        path: path)
    }
    return RepositoryKey(.passphrase(Secret(taking: &line)))
  }

  /// All bytes of a file, as `makeKeyFile` writes it.
  ///
  /// Throws `notFound`, `accessDenied` and `inputOutput` for the file, `invalidInput` where it has
  /// fewer than 32 bytes.
  public static func keyFile(at path: String) throws(MuninnError) -> RepositoryKey {
    var bytes = try content(of: path)
    defer { zero(&bytes) }
    guard bytes.count >= KeyMaterial.keyFileByteCount else {
      throw MuninnError(
        .invalidInput,
        "\(path) has \(bytes.count) bytes: a key file has \(KeyMaterial.keyFileByteCount) random "
          + "ones at least, make one with 'muninn key generate'",
        path: path)
    }
    return RepositoryKey(.keyFile(Secret(taking: &bytes)))
  }

  /// Writes 64 random bytes to a new file that its owner alone can read.
  ///
  /// Throws `alreadyExists` where the path is taken: a key is never overwritten.
  public static func makeKeyFile(at path: String) throws(MuninnError) {
    var bytes = Machine.randomBytes(64)
    defer { zero(&bytes) }
    do throws(DiskError) {
      let file = try FileCalls.open(
        at: AT_FDCWD, path, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600,
        path: path)
      let failure = bytes.withUnsafeBytes { raw -> DiskError? in
        do throws(DiskError) {
          try FileCalls.write(file.descriptor, raw, path: path)
          try FileCalls.sync(file.descriptor, path: path)
        } catch {
          return error
        }
        return nil
      }
      if let failure {
        unlink(path)
        throw failure
      }
    } catch {
      let store = StoreError(error)
      guard error.errno != EEXIST else {
        throw MuninnError(
          .alreadyExists, "\(path) is there already: a key file is never overwritten", path: path)
      }
      throw MuninnError(store)
    }
  }

  private static func content(of path: String) throws(MuninnError) -> [UInt8] {
    let limit = 64 << 10
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    defer { zero(&bytes) }
    do throws(DiskError) {
      // A pipe does as well: <(secret-tool …).
      let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDONLY | O_NOCTTY, path: path)
      let result = bytes.withUnsafeMutableBytes { raw -> Result<Int, DiskError> in
        do throws(DiskError) {
          return .success(try FileCalls.read(file.descriptor, into: raw, path: path))
        } catch {
          return .failure(error)
        }
      }
      let count = try result.get()
      guard count <= limit else { throw DiskError(errno: EFBIG, operation: "read", path: path) }
      return Array(bytes[..<count])
    } catch {
      throw MuninnError(StoreError(error, object: path))
    }
  }
}

extension RepositoryKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String {
    switch material {
    case .passphrase: "a passphrase"
    case .keyFile: "a key file"
    }
  }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// A key slot of an encrypted repository: one passphrase or key file that opens it.
public struct KeySlotInfo: Sendable, Codable, Equatable {
  public enum Method: String, Sendable, Codable {
    case passphrase
    case keyFile
    /// The slot cannot be read.
    case unknown
  }

  public enum Standing: String, Sendable, Codable {
    case usable
    /// A rotation took its place, and it opens the repository no more: remove it.
    case retired
    /// Made for a rotation that did not come to its end: remove it.
    case unfinished
    case damaged
  }

  /// 32 hexadecimal digits.
  public let id: String
  public let method: Method
  public let standing: Standing
  /// As it was given; readable without a key.
  public let label: String
  /// Seconds since 1970, UTC.
  public let created: Double
  /// The number of the newest master key that it opens.
  public let epoch: UInt32

  init(_ slot: KeySlotSummary) {
    id = slot.id.description
    method =
      switch slot.method {
      case .passphrase: .passphrase
      case .keyFile: .keyFile
      case nil: .unknown
      }
    standing =
      switch slot.standing {
      case .usable: .usable
      case .retired: .retired
      case .unfinished: .unfinished
      case .damaged: .damaged
      }
    label = String(decoding: slot.label, as: UTF8.self)
    created = Double(slot.createdNanoseconds) / 1e9
    epoch = slot.epoch
  }

  public var shortID: String { String(id.prefix(8)) }
}

/// What a rotation did.
public struct KeyRotation: Sendable, Codable, Equatable {
  /// The one slot that opens the repository now.
  public let slot: String
  /// The slots that were removed: their passphrases and key files are to be added again.
  public let removed: [KeySlotInfo]
  /// Slots that could not be removed. They open nothing, and hold the older master keys still.
  public let leftover: [KeySlotInfo]
}
