import MuninnFormat
import MuninnTestSupport
import Testing

/// The bytes of each layout, kept in `Golden/NAME.hex`: what an older build wrote must be read for
/// ever, and what this build writes must not change unnoticed.
///
/// `MUNINN_WRITE_GOLDEN=1` writes the files that are not there yet. A file that is there is never
/// changed by that: a layout that changes gets a new format version.
@Suite struct GoldenTests {
  private func path(_ name: String, file: StaticString = #filePath) -> String {
    let folder = "\(file)".split(separator: "/", omittingEmptySubsequences: false).dropLast()
    return folder.joined(separator: "/") + "/Golden/\(name).hex"
  }

  private func golden(_ object: GoldenObject) throws -> [UInt8] {
    let path = path(object.name)
    if environmentVariable("MUNINN_WRITE_GOLDEN") != nil, (try? readFile(path)) == nil {
      try writeFile(path, Array(hexadecimalText(try object.encode()).utf8))
    }
    let text = String(decoding: try readFile(path), as: UTF8.self)
    return try #require(bytes(hexadecimal: text), "\(path) is not hexadecimal")
  }

  @Test(arguments: GoldenObject.all)
  func bytesNeverChange(object: GoldenObject) throws {
    let golden = try golden(object)
    if object.isReproducible { #expect(try object.encode() == golden) }
    #expect(try object.holdsSample(golden))
  }

  @Test(arguments: GoldenObject.all)
  func everyTruncationIsRefused(object: GoldenObject) throws {
    let golden = try golden(object)
    for count in 0..<golden.count {
      // A list of ids has no length of its own: the chunk's does.
      if object.name == "container-list", count % 16 == 0 { continue }
      #expect(throws: FormatError.self, "the first \(count) of \(golden.count) bytes") {
        _ = try object.holdsSample(Array(golden[..<count]))
      }
    }
  }

  @Test(arguments: GoldenObject.all)
  func everyBitCounts(object: GoldenObject) throws {
    var bytes = try golden(object)
    var unnoticed: [String] = []
    for offset in bytes.indices {
      for bit in 0..<8 {
        bytes[offset] ^= 1 << bit
        do throws(FormatError) {
          let isSame = try object.holdsSample(bytes)
          if isSame || object.protection == .checked {
            unnoticed.append("byte \(offset), bit \(bit)")
          }
        } catch {
          #expect(!error.message.isEmpty)
        }
        bytes[offset] ^= 1 << bit
      }
    }
    #expect(unnoticed.isEmpty, "\(object.name): \(unnoticed)")
  }

  @Test(arguments: GoldenObject.all)
  func anythingBehindItDoesNotCrash(object: GoldenObject) throws {
    var generator = SeededGenerator.printed()
    let golden = try golden(object)
    for _ in 0..<300 {
      var bytes = golden
      for _ in 0..<(1 + generator.next() % 8) {
        let at = Int(generator.next() % UInt64(bytes.count))
        switch generator.next() % 4 {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: generator.next())
        case 1: bytes[at] = 0xFF
        case 2: bytes.insert(contentsOf: generator.bytes(Int(generator.next() % 9)), at: at)
        default: bytes.removeSubrange(at..<min(bytes.count, at + Int(generator.next() % 9)))
        }
        if bytes.isEmpty { break }
      }
      // Any answer will do but a trap.
      _ = try? object.holdsSample(bytes)
    }
  }
}

/// Lines of 32 bytes.
private func hexadecimalText(_ bytes: [UInt8]) -> String {
  var text = ""
  for (index, byte) in bytes.enumerated() {
    let digits = String(byte, radix: 16)
    text += (digits.utf8.count == 1 ? "0" : "") + digits
    if index % 32 == 31 || index == bytes.count - 1 { text += "\n" }
  }
  return text
}

/// Nil where there is anything but pairs of digits and line ends.
private func bytes(hexadecimal text: String) -> [UInt8]? {
  let digits = text.utf8.filter { $0 != 0x0A }
  guard digits.count % 2 == 0 else { return nil }
  var bytes: [UInt8] = []
  for start in stride(from: 0, to: digits.count, by: 2) {
    let pair = String(decoding: digits[start..<(start + 2)], as: UTF8.self)
    guard let byte = UInt8(pair, radix: 16) else { return nil }
    bytes.append(byte)
  }
  return bytes
}
