import MuninnPipeline
import MuninnTestSupport
import Testing

/// Paths of any bytes as text, and back.
@Suite struct BackupPathTests {
  @Test func everyPathComesBack() {
    var generator = SeededGenerator.printed()
    let pieces: [[UInt8]] = [
      [0x5C], [0x5C, 0x78], Array("x41".utf8), [0xFF], [0xC3], [0xC3, 0xA9], [0xE2, 0x82],
      [0xF0, 0x9F, 0x98, 0x80], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0x2F], [0x0A], [0x61],
    ]
    for round in 0..<20_000 {
      let path =
        round % 2 == 0
        ? generator.bytes(Int(generator.next() % 12))
        : (0..<(generator.next() % 6)).flatMap { _ in
          pieces[Int(generator.next() % UInt64(pieces.count))]
        }
      #expect(pathBytes(display: displayPath(path)) == path, "\(path)")
    }
  }

  @Test(arguments: [
    ("plain", "plain"), ("caf\u{e9}", "caf\u{e9}"), ("back\\slash", "back\\\\slash"),
    ("new\nline", "new\nline"),
  ])
  func textIsShownAsItIs(path: String, shown: String) {
    #expect(displayPath(Array(path.utf8)) == shown)
  }

  @Test func otherBytesAreEscaped() {
    #expect(displayPath([0x61, 0xFF, 0x0A, 0xC3]) == "a\\xFF\n\\xC3")
    #expect(displayPath([0xFF, 0x5C]) == "\\xFF\\\\")
  }

  /// What people type: a backslash that begins no escape stands for itself.
  @Test(arguments: ["\\", "\\x", "\\x4", "\\xg0", "\\x+f", "\\x-0", "a\\n", "\\x 1"])
  func whatIsNoEscapeStandsForItself(text: String) {
    #expect(pathBytes(display: text) == Array(text.utf8))
  }

  @Test func escapesOfEitherCaseAreRead() {
    #expect(pathBytes(display: "\\xff\\xFF\\x00\\\\") == [0xFF, 0xFF, 0, 0x5C])
  }
}
