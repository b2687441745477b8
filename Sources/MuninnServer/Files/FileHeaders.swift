import Foundation
import HTTPTypes
import Hummingbird
import MuninnDisk

extension HTTPField.Name {
  /// Of RFC 1864, no longer registered with a name of its own.
  static let contentMD5 = HTTPField.Name("Content-MD5") ?? .contentType
}

/// What a file's headers say, and what conditions are held against.
struct FileHeaders: Sendable {
  let size: UInt64
  let etag: String
  let lastModified: String
  let digest: String?
  let metadata: [(name: String, value: String)]

  init(
    _ status: FileStatus, digest: String?, metadata: [(name: String, value: String)] = []
  ) {
    size = status.size
    etag = Self.etag(status)
    let seconds = Double(status.modifiedNanoseconds) / 1e9
    lastModified = Timestamp(seconds: seconds.rounded(.down)).httpText
    self.digest = digest
    self.metadata = metadata
  }

  /// Changes whenever content or metadata does: every such change moves the change time.
  static func etag(_ status: FileStatus) -> String {
    let parts = [
      UInt64(bitPattern: status.changedNanoseconds), status.size, status.inode,
    ].map { String($0, radix: 16) }
    return "\"\(parts.joined(separator: "-"))\""
  }

  func fields(contentType: Bool) -> HTTPFields {
    var fields: HTTPFields = [
      .eTag: etag, .lastModified: lastModified, .acceptRanges: "bytes", .cacheControl: "no-cache",
      // Whatever was uploaded is never run in a browser on this server's behalf.
      .xContentTypeOptions: "nosniff", .contentSecurityPolicy: "sandbox",
    ]
    if contentType { fields[.contentType] = "application/octet-stream" }
    if let digest { fields[.contentMD5] = digest }
    for (name, value) in metadata {
      if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
    }
    return fields
  }
}

extension Request {
  /// Whether a list of entity tags, as `If-Match` and `If-None-Match` carry it, has `etag` in it.
  static func matches(_ header: String, _ etag: String?) -> Bool {
    guard let etag else { return false }
    if header.trimmingCharacters(in: .whitespaces) == "*" { return true }
    return header.split(separator: ",").contains { part in
      let tag = part.trimmingCharacters(in: .whitespaces)
      return (tag.hasPrefix("W/") ? String(tag.dropFirst(2)) : tag) == etag
    }
  }

  /// Throws 412 where a change was asked for on a condition that does not hold; `etag` is nil where
  /// there is no file.
  static func check(
    ifMatch: String?, ifNoneMatch: String?, _ etag: String?
  ) throws(Refusal) {
    if let ifMatch, !matches(ifMatch, etag) {
      throw Refusal(.preconditionFailed, "The file is not the one that If-Match names.")
    }
    if let ifNoneMatch, matches(ifNoneMatch, etag) {
      throw Refusal(.preconditionFailed, "The file that If-None-Match excludes is there.")
    }
  }
}
