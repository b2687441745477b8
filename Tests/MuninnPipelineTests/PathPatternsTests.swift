import MuninnPipeline
import Testing

/// Patterns as gitignore(5) has them. The answers were compared with those of `git check-ignore`.
@Suite struct PathPatternsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let patterns: [String]
    let path: String
    let isExcluded: Bool
    var testDescription: String { "\(patterns) \(path)" }

    init(_ patterns: String..., path: String, _ isExcluded: Bool) {
      self.patterns = patterns
      self.path = path
      self.isExcluded = isExcluded
    }
  }

  /// A path that ends in a slash is a directory.
  static let cases = [
    Case("a", path: "a", true), Case("a", path: "x/y/a", true), Case("a", path: "ab", false),
    Case("a", path: "A", false), Case("a/", path: "a", false), Case("a/", path: "a/", true),
    Case("a/", path: "x/a/", true), Case("/a", path: "a", true), Case("/a", path: "x/a", false),
    Case("x/a", path: "x/a", true), Case("x/a", path: "y/x/a", false),
    Case("*", path: "anything", true), Case("*.o", path: "x/y.o", true),
    Case("*.o", path: "x/y.oo", false), Case("*.o", path: ".o", true),
    Case("/*.o", path: "x/y.o", false), Case("/*.o", path: "y.o", true),
    Case("a*b*c", path: "aXXbYbZc", true), Case("a*b*c", path: "aXXbYbZ", false),
    Case("x/*/z", path: "x/y/z", true), Case("x/*/z", path: "x/y/y/z", false),
    Case("x/*", path: "x/y", true), Case("?", path: "a", true), Case("?", path: "ab", false),
    Case("a?c", path: "abc", true), Case("a?c", path: "ac", false),
    Case("[a-c]", path: "b", true), Case("[a-c]", path: "d", false),
    Case("[!a-c]", path: "d", true), Case("[!a-c]", path: "b", false),
    Case("[^a-c]", path: "d", true), Case("[]a]", path: "]", true), Case("[a-]", path: "-", true),
    Case("x[0-9][0-9]", path: "x42", true), Case("x[0-9][0-9]", path: "x4", false),
    Case("**/a", path: "a", true), Case("**/a", path: "x/y/a", true),
    Case("**/x/a", path: "y/x/a", true), Case("**/x/a", path: "y/xx/a", false),
    Case("a/**", path: "a/b", true), Case("a/**", path: "a/b/c", true),
    Case("a/**", path: "a/", false), Case("a/**/b", path: "a/b", true),
    Case("a/**/b", path: "a/x/b", true), Case("a/**/b", path: "a/x/y/b", true),
    Case("a/**/b", path: "a/xb", false), Case("a/**/b", path: "x/a/b", false),
    Case("a**b", path: "axxb", true), Case("a**", path: "abc", true),
    Case("**.o", path: "x/y.o", true), Case("x/**.o", path: "x/y.o", true),
    Case("*", "!a", path: "a", false), Case("!a", "*", path: "a", true),
    Case("*.o", "!keep.o", path: "x/keep.o", false), Case("*.o", "!keep.o", path: "y.o", true),
    Case("# a", path: "# a", false), Case("\\#a", path: "#a", true), Case("\\!a", path: "!a", true),
    Case("", path: "a", false), Case("   ", path: "a", false), Case("a  ", path: "a", true),
    Case("a\\ ", path: "a ", true), Case("\\*", path: "*", true), Case("\\*", path: "x", false),
    Case("/", path: "a", false), Case("caf\u{e9}", path: "caf\u{e9}", true),
    Case("a.b", path: "axb", false), Case("a+b", path: "a+b", true), Case("[", path: "[", false),
    Case("[a-c]", path: "[", false), Case("a/**/b/**/c", path: "a/b/x/b/c", true),
    Case("a/**/b*/**/c", path: "a/x/bb/y/z/c", true), Case("x/**/*.o", path: "x/y/z.o", true),
    Case("[[:alpha:]]", path: "x", true), Case("[[:alpha:]]", path: "1", false),
    Case("[![:alpha:]]", path: "1", true), Case("[![:alpha:]]", path: "x", false),
    Case("a[[:digit:][:space:]]", path: "a7", true), Case("a[[:digit:]_]", path: "a_", true),
    Case("[[:upper:]-z]", path: "-", true), Case("[[:xdigit:]]", path: "g", false),
    Case("[[:nonsense:]]", path: "n", false), Case("[[:alpha:]", path: "x", false),
    Case("[[:]", path: ":", true), Case("[[:]", path: "[", true), Case("[\\]]", path: "]", true),
    Case("[a\\-c]", path: "b", false), Case("[a\\-c]", path: "-", true),
    Case("[\\a-c]", path: "b", true), Case("[a-\\c]", path: "b", true),
    Case("[]-a]", path: "^", true), Case("[!]a]", path: "b", true),
    Case("[a-]", path: "-", true), Case("[-a]", path: "-", true), Case("[z-a]", path: "m", false),
    Case("*[[:punct:]]*", path: "a.b", true), Case("x/[[:lower:]]*/z", path: "x/yy/z", true),
    Case("***", path: "abc", true), Case("/**/a", path: "x/a", true),
  ]

  @Test(arguments: cases) func isAsGitHasIt(example: Case) {
    let isDirectory = example.path.hasSuffix("/")
    let path = Array(isDirectory ? example.path.utf8.dropLast() : example.path.utf8[...])
    let patterns = PathPatterns(example.patterns)
    #expect(patterns.matches(path, isDirectory: isDirectory) == example.isExcluded)
  }

  @Test func noPatternTakesForEver() {
    let path = [UInt8](repeating: UInt8(ascii: "a"), count: 4000)
    for pattern in [
      String(repeating: "a*", count: 200) + "b", String(repeating: "**/", count: 60) + "b",
      String(repeating: "[!b]*", count: 100) + "b",
    ] {
      #expect(!PathPatterns([pattern]).matches(path, isDirectory: false))
    }
    let deep = Array(repeatElement("a", count: 2000).joined(separator: "/").utf8)
    #expect(!PathPatterns(["**/a/**/a/**/b"]).matches(deep, isDirectory: false))
  }

  @Test func nothingIsExcludedWithoutPatterns() {
    #expect(PathPatterns([]).isEmpty)
    #expect(PathPatterns(["", "# only words"]).isEmpty)
    #expect(!PathPatterns([]).matches([1], isDirectory: true))
  }
}
