import Glibc

/// The rule for names of repository objects, checked wherever a name enters: they come from a
/// repository's own records, and one that is damaged or forged must not lead out of it.
package enum ObjectName {
  /// Below this, local storage keeps files that are not objects yet; no object may be called so.
  static let temporaryDirectory = "tmp"
  static let maximumByteCount = 1024
  static let maximumComponentByteCount = 255

  /// Components of `a-z A-Z 0-9 . _ -`, none empty, "." or "..", joined by "/"; at most 1024 bytes
  /// in all and 255 each; the first is not "tmp".
  package static func isValid(_ name: String) -> Bool {
    let bytes = name.utf8
    guard !bytes.isEmpty, bytes.count <= maximumByteCount else { return false }
    var componentLength = 0
    var isAllDots = true
    for byte in bytes {
      if byte == UInt8(ascii: "/") {
        guard endsComponent(componentLength, isAllDots) else { return false }
        componentLength = 0
        isAllDots = true
        continue
      }
      guard isAllowed(byte) else { return false }
      componentLength += 1
      if byte != UInt8(ascii: ".") { isAllDots = false }
    }
    guard endsComponent(componentLength, isAllDots) else { return false }
    return name != temporaryDirectory && !name.hasPrefix(temporaryDirectory + "/")
  }

  /// Throws EINVAL for a name that breaks the rule.
  package static func check(_ name: String, operation: StaticString) throws(DiskError) {
    guard isValid(name) else { throw SystemCall.failure(EINVAL, operation, name) }
  }

  /// A prefix for listing without its trailing "/"; EINVAL where it could be no object's.
  package static func checkedPrefix(_ prefix: String) throws(DiskError) -> String {
    let directory = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
    if !directory.isEmpty { try check(directory, operation: "list") }
    if directory.isEmpty && !prefix.isEmpty { throw SystemCall.failure(EINVAL, "list", prefix) }
    return directory
  }

  /// The name's directory, "" for a name without one, and the last component.
  static func split(_ name: String) -> (directory: String, last: String) {
    guard let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", name) }
    return (String(name[..<slash]), String(name[name.utf8.index(after: slash)...]))
  }

  private static func endsComponent(_ length: Int, _ isAllDots: Bool) -> Bool {
    length > 0 && length <= maximumComponentByteCount && !(isAllDots && length <= 2)
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
