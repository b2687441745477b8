internal import Glibc
package import MuninnDisk
package import MuninnFormat

/// What went wrong with a repository, and at which of its objects.
package struct StoreError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable, Equatable {
    case notARepository
    case alreadyExists
    case notFound
    case unsupportedFormat
    case damaged
    case wrongKey
    case noSpace
    case accessDenied
    /// The repository is older than what this machine has seen of it.
    case rolledBack
    case invalidInput
    /// The session was taken for dead.
    case fenced
    case cancelled
    case inputOutput
  }

  package let code: Code
  package let message: String
  /// The object's name, where one is concerned.
  package let object: String?

  package init(_ code: Code, _ message: String, object: String? = nil) {
    self.code = code
    self.message = message
    self.object = object
  }

  package var description: String {
    guard let object else { return message }
    return "\(object): \(message)"
  }

  package init(_ error: DiskError, object: String? = nil) {
    let code: Code =
      if error.isNotFound {
        .notFound
      } else if error.isNoSpace {
        .noSpace
      } else if error.isAccessDenied {
        .accessDenied
      } else {
        .inputOutput
      }
    self.init(code, error.description, object: object)
  }

  package init(_ error: FormatError, object: String) {
    let code: Code =
      switch error.code {
      case .unsupportedVersion: .unsupportedFormat
      case .wrongKey: .wrongKey
      case .truncated, .wrongKind, .checksumMismatch, .wrongIdentity, .invalidValue: .damaged
      }
    self.init(code, error.message, object: object)
  }
}

/// Runs `body`, turning the errors of the layers below into a `StoreError` about `object`.
func onDisk<R>(
  _ object: @autoclosure () -> String, _ body: () throws(DiskError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw StoreError(error, object: object()) }
}

/// Reads a second time where the disk returns an error: some are gone then, and a repair gives up
/// what cannot be read.
func readingTwice<R>(_ body: () throws(DiskError) -> R) throws(DiskError) -> R {
  do throws(DiskError) { return try body() } catch {
    guard error.errno == EIO else { throw error }
    return try body()
  }
}

func decoding<R>(
  _ object: @autoclosure () -> String, _ body: () throws(FormatError) -> R
) throws(StoreError) -> R {
  do { return try body() } catch { throw StoreError(error, object: object()) }
}
