import MuninnFormat
import MuninnTestSupport
import Testing

@testable import MuninnStore

/// The table of chunks against a dictionary.
@Suite struct ChunkTableTests {
  private struct Place: Equatable {
    let container: UInt32
    let slot: UInt32
  }

  private func place(_ found: ChunkTable.Place?) -> Place? {
    found.map { Place(container: $0.container, slot: $0.slot) }
  }

  @Test(arguments: [0, 1, 48, 49, 1 << 12]) func isADictionary(capacity: Int) {
    var generator = SeededGenerator.printed()
    var table = ChunkTable(capacity: capacity)
    var model: [ChunkIdentity: Place] = [:]
    // Few words, so that whole runs share their place and differ in one of four words alone.
    let words = (0..<12).map { _ in generator.next() } + [0, .max]
    func identity() -> ChunkIdentity {
      func word() -> UInt64 { words[Int(generator.next() % UInt64(words.count))] }
      return ChunkIdentity(
        fingerprint: Pair128(low: word(), high: word()), tag: Pair128(low: word(), high: word()))
    }
    for step in 0..<20_000 {
      let key = identity()
      if generator.oneIn(2) {
        let new = Place(container: UInt32(step % 1000), slot: .max - UInt32(step))
        table.insert(key, ChunkTable.Place(container: new.container, slot: new.slot))
        // The first place stays.
        if model[key] == nil { model[key] = new }
      } else {
        #expect(place(table.find(key)) == model[key])
      }
      #expect(table.count == model.count)
    }
    for (key, value) in model { #expect(place(table.find(key)) == value) }
    #expect(table.count * 4 <= table.byteCount / 40 * 3 + 4, "never more than 3/4 full")
    table.removeAll()
    #expect(table.count == 0)
    for key in model.keys { #expect(table.find(key) == nil) }
  }
}
