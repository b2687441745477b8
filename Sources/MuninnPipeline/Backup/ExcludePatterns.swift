/// Patterns in gitignore syntax, matched against paths below the root.
///
/// A pattern without a slash, or with one at its end alone, matches a name at any depth; any other
/// is anchored at the root. `*`, `?` and `[...]` do not match a slash; a component `**` stands for
/// any number of directories. A slash at the end matches directories alone, `!` takes an exclusion
/// back, `#` begins a comment, and a backslash takes the next character as it is. The last pattern
/// that matches decides. What lies below an excluded directory is not looked at.
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
      while text.last == 0x20 || text.last == 0x0D {
        // A space behind a backslash is meant, unless the backslash itself is behind one.
        let escapes = text.dropLast().reversed().prefix { $0 == 0x5C }.count
        if text.last == 0x20, !escapes.isMultiple(of: 2) { break }
        text.removeLast()
      }
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

  /// Whether the glob matches the whole subject. Goes back to the last `*`, and from there to the
  /// last `**`, alone: what lies before them has its earliest match already, so that no pattern
  /// costs more than its length times the subject's (Kirk Krauss's wildcard matching, with `**`
  /// taking whole directories).
  private static func match(_ glob: ArraySlice<UInt8>, _ subject: ArraySlice<UInt8>) -> Bool {
    var g = glob.startIndex
    var s = subject.startIndex
    var star: (glob: Int, subject: Int)?
    var deep: (glob: Int, subject: Int)?
    while s < subject.endIndex {
      if isDeep(glob, g) {
        guard g + 2 < glob.endIndex else { return true }
        g += 3
        deep = (g, s)
        star = nil
      } else if g < glob.endIndex, glob[g] == 0x2A {
        while g < glob.endIndex, glob[g] == 0x2A { g += 1 }
        star = (g, s)
      } else if g < glob.endIndex, let next = step(glob, g, subject[s]) {
        g = next
        s += 1
      } else if let back = star, subject[back.subject] != 0x2F {
        g = back.glob
        s = back.subject + 1
        star = (g, s)
      } else if let back = deep, let slash = subject[back.subject...].firstIndex(of: 0x2F) {
        g = back.glob
        s = slash + 1
        deep = (g, s)
        star = nil
      } else {
        return false
      }
    }
    while g < glob.endIndex, glob[g] == 0x2A { g += 1 }
    return g == glob.endIndex
  }

  /// Whether a `**` that is a whole component of the glob begins at `g`; any other run of stars is
  /// one `*`.
  private static func isDeep(_ glob: ArraySlice<UInt8>, _ g: Int) -> Bool {
    glob[g...].starts(with: [0x2A, 0x2A])
      && (g == glob.startIndex || glob[g - 1] == 0x2F)
      && (g + 2 == glob.endIndex || glob[g + 2] == 0x2F)
  }

  /// The index behind the glob's element at `g` where it matches `byte`; nil where it does not.
  private static func step(_ glob: ArraySlice<UInt8>, _ g: Int, _ byte: UInt8) -> Int? {
    switch glob[g] {
    case 0x3F: return byte == 0x2F ? nil : g + 1
    case 0x5C where g + 1 < glob.endIndex: return glob[g + 1] == byte ? g + 2 : nil
    case 0x5B: return stepClass(glob, g, byte)
    case let literal: return literal == byte ? g + 1 : nil
    }
  }

  /// A class `[a-z]` or `[!a-z]`; nil where it has no end, or does not match.
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
