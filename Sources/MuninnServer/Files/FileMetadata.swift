import Glibc
import HTTPTypes
import MuninnDisk

/// Custom metadata of files: request headers that no standard defines, kept as extended attributes
/// `user.NAME` of the file, where every backup finds them.
enum FileMetadata {
  private static let prefix = "user."
  /// Our own attributes, never a client's.
  private static let ownPrefix = "user.muninn."

  /// Headers that mean something to HTTP, proxies or browsers, in either direction.
  private static let standard: Set<String> = [
    "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age",
    "allow", "alt-svc", "authorization", "cache-control", "connection", "content-disposition",
    "content-encoding", "content-language", "content-length", "content-location", "content-md5",
    "content-range", "content-security-policy", "content-type", "cookie", "date", "dnt", "etag",
    "expect", "expires", "forwarded", "from", "host", "if-match", "if-modified-since",
    "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "last-modified", "link",
    "location", "max-forwards", "origin", "pragma", "priority", "range", "referer",
    "referrer-policy", "refresh", "retry-after", "server", "set-cookie",
    "strict-transport-security",
    "te", "trailer", "transfer-encoding", "traceparent", "tracestate", "upgrade",
    "upgrade-insecure-requests", "user-agent", "vary", "via", "warning", "www-authenticate",
    "x-content-type-options", "x-frame-options", "x-powered-by", "x-real-ip", "x-request-id",
    "x-requested-with", "x-xss-protection",
  ]
  private static let standardPrefixes = [
    "access-control-", "proxy-", "sec-", "x-forwarded-", "cross-origin-", "permissions-policy",
  ]

  private static func isCustom(_ name: String) -> Bool {
    !standard.contains(name) && !standardPrefixes.contains { name.hasPrefix($0) }
      && !(prefix + name).hasPrefix(ownPrefix)
  }

  /// The attributes that a request's headers ask for. Of a header that comes twice, the values are
  /// joined as HTTP says.
  static func attributes(of headers: HTTPFields) -> [ExtendedAttribute] {
    var values: [String: [String]] = [:]
    for field in headers where isCustom(field.name.canonicalName) {
      values[field.name.canonicalName, default: []].append(field.value)
    }
    return values.sorted { $0.key < $1.key }.map { name, texts in
      ExtendedAttribute(
        name: Array((prefix + name).utf8), value: Array(texts.joined(separator: ", ").utf8))
    }
  }

  /// The metadata among a file's attributes: whatever can be a custom header.
  static func metadata(in attributes: [ExtendedAttribute]) -> [(name: String, value: String)] {
    attributes.compactMap { attribute in
      guard let whole = String(validating: attribute.name, as: UTF8.self),
        whole.hasPrefix(prefix), let value = String(validating: attribute.value, as: UTF8.self),
        value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
      else { return nil }
      let name = String(whole.dropFirst(prefix.count)).lowercased()
      guard isCustom(name), HTTPField.Name(name) != nil else { return nil }
      return (name, value)
    }
  }

  /// Writes metadata to a file that no client sees yet.
  static func write(
    _ attributes: [ExtendedAttribute], to descriptor: CInt, _ path: TreePath
  ) throws(Refusal) {
    for attribute in attributes {
      do throws(DiskError) {
        try FileCalls.setExtendedAttribute(
          of: descriptor, name: attribute.name, value: attribute.value, path: path.text)
      } catch {
        let name = String(decoding: attribute.name.dropFirst(prefix.utf8.count), as: UTF8.self)
        switch error.errno {
        case EOPNOTSUPP, EPERM:
          throw Refusal(
            .badRequest,
            "The disk of the data directory keeps no extended attributes, so '\(path.text)' cannot"
              + " have the metadata \(name); send it without.")
        case ENOSPC, E2BIG, ERANGE, EDQUOT:
          throw Refusal(
            .badRequest,
            "The disk of the data directory has no room for the metadata \(name) of"
              + " '\(path.text)': most keep 4 KiB a file.")
        default:
          throw Refusal(.internalServerError, "'\(path.text)': \(error.reason).")
        }
      }
    }
  }
}
