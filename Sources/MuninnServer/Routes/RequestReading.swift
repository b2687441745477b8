import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// What routes read from a request.
enum RequestReading {
  /// Bytes of a body, 1 MiB.
  static let bodyLimit = 1 << 20
}

extension Request {
  /// The body as a JSON object, whatever its Content-Type says.
  func object() async throws -> RequestObject {
    let buffer: ByteBuffer
    do {
      buffer = try await body.collect(upTo: RequestReading.bodyLimit)
    } catch {
      // Whatever the collector calls it, nothing else than the size can be wrong before the body is
      // whole.
      throw HTTPError(.contentTooLarge)
    }
    return try LenientJSON.object(in: Array(buffer.readableBytesView))
  }

  /// A query parameter; its name matches exactly first, then ignoring case.
  func query(_ name: String) -> String? {
    let parameters = uri.queryParameters
    if let value = parameters[name[...]] { return String(value) }
    let wanted = name.lowercased()
    return parameters.first { $0.key.lowercased() == wanted }.map { String($0.value) }
  }

  /// Whether a query parameter says true, in any case; nil where there is none.
  func flag(_ name: String) -> Bool? { query(name).map { $0.lowercased() == "true" } }

  /// A query parameter that must be there.
  func required(_ name: String, _ what: String) throws(Refusal) -> String {
    guard let value = query(name), !value.isEmpty else {
      throw Refusal(.badRequest, "The query parameter \(name) is missing: \(what).")
    }
    return value
  }

  /// A whole number of at least 0 in the query.
  func number(_ name: String, default fallback: Int) throws(Refusal) -> Int {
    guard let text = query(name) else { return fallback }
    guard let value = Int(text), value >= 0 else {
      throw Refusal(.badRequest, "The query parameter \(name) must be a whole number, 0 or more.")
    }
    return value
  }

  /// The operation id in the query.
  func operationID() throws(Refusal) -> Int64 {
    let text = try required("id", "the operation's number")
    guard let id = Int64(text), id > 0 else {
      throw Refusal(
        .badRequest, "'\(text.prefix(50))' is no operation id: a whole number from 1 on.")
    }
    return id
  }
}

extension ServerContext {
  /// A component of the path, percent-decoded.
  func component(_ name: String) throws(Refusal) -> String {
    guard let raw = parameters.get(name), let text = raw.removingPercentEncoding else {
      throw Refusal(.badRequest, "The path is not percent-encoded UTF-8.")
    }
    return text
  }
}
