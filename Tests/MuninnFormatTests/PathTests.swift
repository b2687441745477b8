import MuninnFormat
import MuninnTestSupport
import Testing

/// Which paths may be restored, and the order of a walk.
@Suite struct PathTests {
  @Test(arguments: [
    "", "a", "a/b", "a/b/c", "...", "..a", "a..", ".a", "a/...", "a\\..\\b", " ", "\n", "-rf",
    "a/ /b", "~", "C:", "usr/share/..hidden",
  ])
  func staysBelowTheTarget(path: String) { #expect(isSafePath(Array(path.utf8))) }

  @Test(arguments: [
    ".", "..", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "../a", "a/..", "./a", "a/.", "//",
    "a\0", "\0", "a/b\0c/d", "/etc/passwd", "../../../../etc/passwd",
  ])
  func leavesTheTarget(path: String) { #expect(!isSafePath(Array(path.utf8))) }

  @Test func bytesThatAreNoTextAreSafe() {
    #expect(isSafePath([0xFF, 0x2F, 0xFE]))
    #expect(isSafePath([UInt8](repeating: 0x80, count: 5000)))
  }

  @Test func theOrderOfAWalk() {
    let inOrder =
      [
        "", "a", "a/b", "a/b/c", "a/b-", "a/c", "a ", "a-", "a-/x", "a-b", "a.b", "a0", "aa", "b",
      ].map { Array($0.utf8) } + [[0xFF], [0xFF, 0x2F, 0], [0xFF, 0]]
    for (left, one) in inOrder.enumerated() {
      for (right, other) in inOrder.enumerated() {
        #expect(comparePaths(one, other).signum() == (left - right).signum(), "\(one) \(other)")
        #expect(pathPrecedes(one, other) == (left < right))
      }
    }
  }

  @Test func theOrderIsTotal() {
    var generator = SeededGenerator.printed()
    func path() -> [UInt8] {
      (0..<(generator.next() % 6)).map { _ in
        [0x2F, 0x2E, 0x2D, 0x61, 0x62, 0xFF][Int(generator.next() % 6)]
      }
    }
    for _ in 0..<20_000 {
      let (a, b, c) = (path(), path(), path())
      #expect(comparePaths(a, a) == 0)
      #expect(comparePaths(a, b).signum() == -comparePaths(b, a).signum())
      #expect((comparePaths(a, b) == 0) == (a == b))
      if comparePaths(a, b) <= 0, comparePaths(b, c) <= 0 { #expect(comparePaths(a, c) <= 0) }
      // It is the order of the components, one after the other.
      let parts = (a.split(separator: 0x2F), b.split(separator: 0x2F))
      if isSafePath(a), isSafePath(b) {
        let precedes = parts.0.lexicographicallyPrecedes(parts.1) {
          $0.lexicographicallyPrecedes($1)
        }
        #expect(pathPrecedes(a, b) == precedes, "\(a) \(b)")
      }
    }
  }
}
