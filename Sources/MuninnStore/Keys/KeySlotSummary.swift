package import MuninnFormat

/// A key slot as `key list` shows it.
package struct KeySlotSummary: Sendable, Equatable {
  package enum Standing: Sendable, Equatable {
    case usable
    /// It opens an older master key only; a rotation was to remove it.
    case retired
    /// It was made for a rotation that did not come to its end, or lost to another.
    case unfinished
    case damaged
  }

  package let id: Identifier
  package let standing: Standing
  /// Nil where it is damaged; so are the others below.
  package let method: KeySlot.Method?
  package let label: [UInt8]
  package let createdNanoseconds: Int64
  package let epoch: UInt32

  init(_ slot: KeySlot, standing: Standing) {
    id = slot.id
    self.standing = standing
    method = slot.method
    label = slot.label
    createdNanoseconds = slot.createdNanoseconds
    epoch = slot.key.epoch
  }

  init(damaged id: Identifier) {
    self.id = id
    standing = .damaged
    method = nil
    label = []
    createdNanoseconds = 0
    epoch = 0
  }
}
