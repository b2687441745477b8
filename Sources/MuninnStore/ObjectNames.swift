package import MuninnFormat

/// Where each kind of object lies in a repository.
package enum ObjectName {
  package static let repository = "repository"
  package static let journalPrefix = "journal/"
  package static let containerPrefix = "containers/"
  package static let segmentPrefix = "segments/"
  package static let sessionPrefix = "sessions/"

  package static func record(_ number: UInt64) -> String { journalPrefix + hexadecimal(number) }

  /// Two digits of the random part spread the containers over 256 directories.
  package static func container(_ id: Identifier) -> String {
    let name = id.description
    return "\(containerPrefix)\(name.suffix(2))/\(name)"
  }

  package static func segment(_ id: Identifier) -> String { segmentPrefix + id.description }

  package static func session(_ id: Identifier) -> String { sessionPrefix + id.description }

  /// The number that a record's name says; nil for any other name.
  package static func recordNumber(_ name: String) -> UInt64? {
    guard name.hasPrefix(journalPrefix) else { return nil }
    let digits = name.dropFirst(journalPrefix.count)
    guard digits.utf8.count == 16 else { return nil }
    return UInt64(digits, radix: 16)
  }

  /// The id that the last part of an object's name says; nil for any other name.
  package static func id(_ name: String) -> Identifier? {
    guard let last = name.split(separator: "/").last else { return nil }
    return Identifier(hex: last)
  }
}
