package import MuninnFormat

/// Where each kind of object lies in a repository.
package enum ObjectName {
  package static let repository = "repository"
  /// The same bytes again, should those be damaged.
  package static let repositoryCopy = "repository.copy"
  package static let journalPrefix = "journal/"
  package static let containerPrefix = "containers/"
  package static let segmentPrefix = "segments/"
  package static let sessionPrefix = "sessions/"
  package static let checkpointPrefix = "checkpoints/"
  /// Where the newest checkpoint is: a hint.
  package static let head = "head"
  package static let keyPrefix = "keys/"
  package static let epochPrefix = "epochs/"

  package static func record(_ number: UInt64) -> String { journalPrefix + hexadecimal(number) }

  /// Two digits of the random part spread the containers over 256 directories.
  package static func container(_ id: Identifier) -> String {
    let name = id.description
    return "\(containerPrefix)\(name.suffix(2))/\(name)"
  }

  package static func segment(_ id: Identifier) -> String { segmentPrefix + id.description }

  package static func checkpoint(_ id: Identifier) -> String { checkpointPrefix + id.description }

  package static func session(_ id: Identifier) -> String { sessionPrefix + id.description }

  package static func key(_ id: Identifier) -> String { keyPrefix + id.description }

  /// The marker of a repository's master key of that number.
  package static func epoch(_ number: UInt32) -> String {
    epochPrefix + hexadecimal(UInt64(number))
  }

  /// The number that a marker's name says; nil for any other name.
  package static func epochNumber(_ name: String) -> UInt32? {
    guard name.hasPrefix(epochPrefix) else { return nil }
    guard let number = UInt32(name.dropFirst(epochPrefix.count), radix: 16), number >= 2,
      number <= KeyRing.maximumEpoch
    else { return nil }
    return epoch(number) == name ? number : nil
  }

  /// The number that a record's name says; nil for any other name.
  package static func recordNumber(_ name: String) -> UInt64? {
    guard name.hasPrefix(journalPrefix) else { return nil }
    guard let number = UInt64(name.dropFirst(journalPrefix.count), radix: 16) else { return nil }
    // A sign or capitals make a number too, but no record's name.
    return record(number) == name ? number : nil
  }

  /// The id that the last part of an object's name says; nil for any other name.
  package static func id(_ name: String) -> Identifier? {
    guard let last = name.split(separator: "/").last else { return nil }
    return Identifier(hex: last)
  }
}
