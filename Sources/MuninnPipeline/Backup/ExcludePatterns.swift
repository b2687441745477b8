/// Patterns in gitignore syntax, matched against paths below the root.
///
/// A pattern without a slash, or with one at its end alone, matches a name at any depth; any other
/// is anchored at the root. `*`, `?` and `[...]` do not match a slash, `**` does. A slash at the
/// end matches directories alone, `!` takes an exclusion back, `#` begins a comment, and a
/// backslash takes the next character as it is. The last pattern that matches decides. What lies
/// below an excluded directory is not looked at.
package struct ExcludePatterns: Sendable {
  private struct Pattern: Sendable {
    var text: [UInt8]
    var isNegated = false
    var isDirectoryOnly = false
    var isAnchored = false
  }

  private let patterns: [Pattern]

  package init(_ lines: [String]) {
    var patterns: [Pattern] = []
    for line in lines {
      var text = Array(line.utf8)
      while text.last == 0x20 || text.last == 0x0D { text.removeLast() }
      guard let first = text.first, first != 0x23 else { continue }
      var pattern = Pattern(text: [])
      if first == 0x21 {
        pattern.isNegated = true
        text.removeFirst()
      }
      if text.last == 0x2F {
        pattern.isDirectoryOnly = true
        text.removeLast()
      }
      if text.first == 0x2F {
        pattern.isAnchored = true
        text.removeFirst()
      } else {
        pattern.isAnchored = text.contains(0x2F)
      }
      guard !text.isEmpty else { continue }
      pattern.text = text
      patterns.append(pattern)
    }
    self.patterns = patterns
  }

  package var isEmpty: Bool { patterns.isEmpty }

  package func matches(_ path: [UInt8], isDirectory: Bool) -> Bool {
    guard !patterns.isEmpty else { return false }
    let nameStart = path.lastIndex(of: 0x2F).map { $0 + 1 } ?? 0
    for pattern in patterns.reversed() where isDirectory || !pattern.isDirectoryOnly {
      let subject = pattern.isAnchored ? path[...] : path[nameStart...]
      if ExcludePatterns.match(pattern.text[...], subject) { return !pattern.isNegated }
    }
    return false
  }

  /// Whether the glob matches the whole subject. Goes back to the last star alone, so that no
  /// pattern costs more than its length times the subject's (Kirk Krauss's wildcard matching), but
  /// for `**`, which is tried at each slash.
  private static func match(_ glob: ArraySlice<UInt8>, _ subject: ArraySlice<UInt8>) -> Bool {
    var g = glob.startIndex
    var s = subject.startIndex
    var star: (glob: Int, subject: Int)?
    while s < subject.endIndex {
      if g < glob.endIndex, glob[g] == 0x2A {
        if glob.index(after: g) < glob.endIndex, glob[g + 1] == 0x2A {
          return matchDoubleStar(glob[(g + 2)...], subject[s...])
        }
        star = (g + 1, s)
        g += 1
      } else if g < glob.endIndex, let next = step(glob, g, subject[s]) {
        g = next
        s += 1
      } else if let back = star, subject[back.subject] != 0x2F {
        star = (back.glob, back.subject + 1)
        g = back.glob
        s = back.subject + 1
      } else {
        return false
      }
    }
    while g < glob.endIndex, glob[g] == 0x2A { g += 1 }
    return g == glob.endIndex
  }

  private static func matchDoubleStar(
    _ rest: ArraySlice<UInt8>, _ subject: ArraySlice<UInt8>
  ) -> Bool {
    guard let first = rest.first else { return true }
    let tail = first == 0x2F ? rest.dropFirst() : rest
    var at = subject.startIndex
    while true {
      if match(tail, subject[at...]) { return true }
      guard let slash = subject[at...].firstIndex(of: 0x2F) else { return false }
      at = slash + 1
    }
  }

  /// The index behind the glob's element at `g` where it matches `byte`; nil where it does not.
  private static func step(_ glob: ArraySlice<UInt8>, _ g: Int, _ byte: UInt8) -> Int? {
    switch glob[g] {
    case 0x3F: return byte == 0x2F ? nil : g + 1
    case 0x5C where g + 1 < glob.endIndex: return glob[g + 1] == byte ? g + 2 : nil
    case 0x5B: return stepClass(glob, g, byte) ?? (byte == 0x5B ? g + 1 : nil)
    case let literal: return literal == byte ? g + 1 : nil
    }
  }

  /// A class `[a-z]` or `[!a-z]`; nil where it is none, or does not match.
  private static func stepClass(_ glob: ArraySlice<UInt8>, _ g: Int, _ byte: UInt8) -> Int? {
    var at = g + 1
    var isNegated = false
    if at < glob.endIndex, glob[at] == 0x21 || glob[at] == 0x5E {
      isNegated = true
      at += 1
    }
    let start = at
    var isIn = false
    while at < glob.endIndex, glob[at] != 0x5D || at == start {
      if at + 2 < glob.endIndex, glob[at + 1] == 0x2D, glob[at + 2] != 0x5D {
        if glob[at] <= byte, byte <= glob[at + 2] { isIn = true }
        at += 3
      } else {
        if glob[at] == byte { isIn = true }
        at += 1
      }
    }
    guard at < glob.endIndex, byte != 0x2F, isIn != isNegated else { return nil }
    return at + 1
  }
}
