/// Which master key an object is sealed under, as its envelope says in the clear.
///
/// The id is derived from the key itself, so two keys of one number (of two rotations at the same
/// time, one of which lost) are told apart, and tells nothing about it.
package struct KeyName: Sendable, Equatable, Hashable {
  /// No key: where the suite is none.
  package static let none = KeyName(epoch: 0, id: .zero)

  /// Master keys of a repository are numbered from 1; each rotation adds one.
  package let epoch: UInt32
  package let id: Identifier

  package init(epoch: UInt32, id: Identifier) {
    self.epoch = epoch
    self.id = id
  }
}
