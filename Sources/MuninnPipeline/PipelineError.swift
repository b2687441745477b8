package import MuninnDisk
package import MuninnFormat
package import MuninnStore

/// What ended a backup or restore as a whole. What concerns one path alone is a `PathFailure` in
/// the outcome.
package struct PipelineError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable, Equatable {
    case invalidInput
    case notFound
    case damaged
    case noSpace
    case accessDenied
    case cancelled
    case inputOutput
    /// Another operation stands in the way.
    case busy
    /// The store's own code is in `store`.
    case store
  }

  package let code: Code
  package let message: String
  package let path: String?
  package let store: StoreError?
  /// The partial snapshot that a backup left.
  package private(set) var partial: Identifier?

  package init(_ code: Code, _ message: String, path: String? = nil) {
    self.code = code
    self.message = message
    self.path = path
    store = nil
  }

  package init(_ error: StoreError) {
    code = error.code == .cancelled ? .cancelled : .store
    message = error.description
    path = error.object
    store = error
  }

  package init(_ error: DiskError) {
    code =
      if error.isNotFound {
        .notFound
      } else if error.isNoSpace {
        .noSpace
      } else if error.isAccessDenied {
        .accessDenied
      } else {
        .inputOutput
      }
    message = error.description
    path = error.path
    store = nil
  }

  package static let cancelled = PipelineError(
    .cancelled, "cancelled: nothing that looks done was left half-done")

  /// The same error of a backup that committed a partial snapshot before.
  package func leaving(_ partial: Identifier) -> PipelineError {
    let left =
      "what was backed up until then is partial snapshot \(partial.description.prefix(8)), and the "
      + "next backup of the same source goes on from it"
    let text = code == .cancelled ? "cancelled: \(left)" : "\(store?.message ?? message); \(left)"
    var error =
      store.map { PipelineError(StoreError($0.code, text, object: $0.object)) }
      ?? PipelineError(code, text, path: path)
    error.partial = partial
    return error
  }

  package var description: String { message }
}

/// A path that could not be read or restored as it should; the operation went on.
package struct PathFailure: Sendable {
  package let path: [UInt8]
  package let message: String

  package init(path: [UInt8], message: String) {
    self.path = path
    self.message = message
  }
}

/// Runs `body`, turning the layers' errors into a `PipelineError`.
func fromStore<R>(_ body: () throws(StoreError) -> R) throws(PipelineError) -> R {
  do { return try body() } catch { throw PipelineError(error) }
}

func fromDisk<R>(_ body: () throws(DiskError) -> R) throws(PipelineError) -> R {
  do { return try body() } catch { throw PipelineError(error) }
}

/// A path for messages and reports: UTF-8 as it is, every other byte as `\xNN`, a backslash as
/// `\\`. Lossless.
package func displayPath(_ path: some Sequence<UInt8>) -> String {
  let bytes = Array(path)
  if !bytes.contains(0x5C), let text = String(validating: bytes, as: UTF8.self) { return text }
  var result = ""
  var index = 0
  while index < bytes.count {
    let first = bytes[index]
    let length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    if first == 0x5C {
      result += "\\\\"
      index += 1
    } else if index + length <= bytes.count,
      let text = String(validating: bytes[index..<(index + length)], as: UTF8.self)
    {
      result += text
      index += length
    } else {
      let digits = String(first, radix: 16, uppercase: true)
      result += "\\x" + (digits.utf8.count == 1 ? "0" : "") + digits
      index += 1
    }
  }
  return result
}

/// The bytes that `displayPath` shows as `text`. A backslash that begins no escape stands for
/// itself.
package func pathBytes(display text: String) -> [UInt8] {
  let source = Array(text.utf8)
  var result: [UInt8] = []
  result.reserveCapacity(source.count)
  var index = 0
  while index < source.count {
    if source[index] == 0x5C, index + 1 < source.count {
      if source[index + 1] == 0x5C {
        result.append(0x5C)
        index += 2
        continue
      }
      // A sign and a digit make a number too, but no escape.
      if source[index + 1] == 0x78, index + 3 < source.count,
        source[index + 2] != 0x2B, source[index + 2] != 0x2D,
        let value = UInt8(
          String(decoding: source[(index + 2)...(index + 3)], as: UTF8.self), radix: 16)
      {
        result.append(value)
        index += 4
        continue
      }
    }
    result.append(source[index])
    index += 1
  }
  return result
}
