/// Patterns in gitignore syntax, matched against paths below the root.
///
/// A pattern without a slash, or with one at its end alone, matches a name at any depth; any other
/// is anchored at the root. `*`, `?` and `[...]` do not match a slash; a component `**` stands for
/// any number of directories. A slash at the end matches directories alone, `!` takes a match back,
/// `#` begins a comment, and a backslash takes the next character as it is. The last pattern that
/// matches decides.
package struct PathPatterns: Sendable {
  private enum Form: Sendable {
    /// No wildcard: the bytes themselves.
    case literal
    /// `*` and bytes without a wildcard.
    case suffix
    case glob
  }

  private struct Pattern: Sendable {
    /// In `text`.
    var range: Range<Int>
    var form = Form.glob
    var isNegated = false
    var isDirectoryOnly = false
    var isAnchored = false
  }

  private let patterns: [Pattern]
  /// All patterns, one behind the other: matching touches no object but this one.
  private let text: [UInt8]

  package init(_ lines: [String]) { self.init(bytes: lines.map { Array($0.utf8) }) }

  package init(bytes lines: [[UInt8]]) {
    var patterns: [Pattern] = []
    var all: [UInt8] = []
    for line in lines {
      var text = PathPatterns.withoutTrailingSpace(line)
      guard let first = text.first, first != 0x23 else { continue }
      var pattern = Pattern(range: 0..<0)
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
      pattern.form = PathPatterns.form(of: text, isAnchored: pattern.isAnchored)
      if pattern.form == .suffix { text.removeFirst() }
      pattern.range = all.count..<(all.count + text.count)
      all += text
      patterns.append(pattern)
    }
    self.patterns = patterns
    text = all
  }

  package var isEmpty: Bool { patterns.isEmpty }

  /// A space behind a backslash is meant, unless the backslash itself is behind one.
  private static func withoutTrailingSpace(_ line: [UInt8]) -> [UInt8] {
    var text = line
    while text.last == 0x20 || text.last == 0x0D {
      let escapes = text.dropLast().reversed().prefix { $0 == 0x5C }.count
      if text.last == 0x20, !escapes.isMultiple(of: 2) { break }
      text.removeLast()
    }
    return text
  }

  private static func form(of text: [UInt8], isAnchored: Bool) -> Form {
    let isWild: (UInt8) -> Bool = { [0x2A, 0x3F, 0x5B, 0x5C].contains($0) }
    if !text.contains(where: isWild) { return .literal }
    if !isAnchored, text[0] == 0x2A, !text.dropFirst().contains(where: isWild) { return .suffix }
    return .glob
  }

  package func matches(_ path: [UInt8], isDirectory: Bool) -> Bool {
    guard !patterns.isEmpty else { return false }
    return path.withUnsafeBufferPointer { path in
      text.withUnsafeBufferPointer { text in
        let nameStart = path.lastIndex(of: 0x2F).map { $0 + 1 } ?? 0
        let name = UnsafeBufferPointer(rebasing: path[nameStart...])
        for pattern in patterns.reversed() where isDirectory || !pattern.isDirectoryOnly {
          let glob = UnsafeBufferPointer(rebasing: text[pattern.range])
          let subject = pattern.isAnchored ? path : name
          let isMatch =
            switch pattern.form {
            case .literal: glob.elementsEqual(subject)
            case .suffix:
              subject.count >= glob.count && subject.suffix(glob.count).elementsEqual(glob)
            case .glob: Glob(glob).matches(subject)
            }
          if isMatch { return !pattern.isNegated }
        }
        return false
      }
    }
  }
}

/// One pattern, as wildmatch(3) of git reads it. Lives as long as the bytes that it points to.
private struct Glob {
  private let glob: UnsafeBufferPointer<UInt8>

  init(_ glob: UnsafeBufferPointer<UInt8>) { self.glob = glob }

  /// Whether the glob matches the whole subject. Goes back to the last `*`, and from there to the
  /// last `**`, alone: what lies before them has its earliest match already, so that no pattern
  /// costs more than its length times the subject's (Kirk Krauss's wildcard matching, with `**`
  /// taking whole directories).
  func matches(_ subject: UnsafeBufferPointer<UInt8>) -> Bool {
    var g = 0
    var s = 0
    var star: (glob: Int, subject: Int)?
    var deep: (glob: Int, subject: Int)?
    while s < subject.count {
      if isDeep(g) {
        guard g + 2 < glob.count else { return true }
        g += 3
        deep = (g, s)
        star = nil
      } else if g < glob.count, glob[g] == 0x2A {
        while g < glob.count, glob[g] == 0x2A { g += 1 }
        star = (g, s)
      } else if g < glob.count, let next = step(g, subject[s]) {
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
    while g < glob.count, glob[g] == 0x2A { g += 1 }
    return g == glob.count
  }

  /// Whether a `**` that is a whole component of the glob begins at `g`; any other run of stars is
  /// one `*`.
  private func isDeep(_ g: Int) -> Bool {
    g + 2 <= glob.count && glob[g] == 0x2A && glob[g + 1] == 0x2A
      && (g == 0 || glob[g - 1] == 0x2F)
      && (g + 2 == glob.count || glob[g + 2] == 0x2F)
  }

  /// The index behind the glob's element at `g` where it matches `byte`; nil where it does not.
  private func step(_ g: Int, _ byte: UInt8) -> Int? {
    switch glob[g] {
    case 0x3F: return byte == 0x2F ? nil : g + 1
    case 0x5C where g + 1 < glob.count: return glob[g + 1] == byte ? g + 2 : nil
    case 0x5B: return stepClass(g, byte)
    case let literal: return literal == byte ? g + 1 : nil
    }
  }

  /// A class: `[a-z]`, `[!a-z]`, `[^\]-]`, `[[:alpha:]_]`; nil where it has no end, names a kind
  /// of character that there is not, or does not match.
  private func stepClass(_ g: Int, _ byte: UInt8) -> Int? {
    var at = g + 1
    var isNegated = false
    if at < glob.count, glob[at] == 0x21 || glob[at] == 0x5E {
      isNegated = true
      at += 1
    }
    let start = at
    var isIn = false
    // What a hyphen would begin its range with.
    var low: UInt8?
    while at < glob.count, glob[at] != 0x5D || at == start {
      if let named = characterKind(at) {
        guard let isOfKind = Glob.contains(named.name, byte) else { return nil }
        if isOfKind { isIn = true }
        low = nil
        at = named.end
        continue
      }
      if glob[at] == 0x2D, let from = low, at + 1 < glob.count, glob[at + 1] != 0x5D {
        at += 1
        guard let high = literal(&at) else { return nil }
        if from <= byte, byte <= high { isIn = true }
        low = nil
        continue
      }
      guard let one = literal(&at) else { return nil }
      if one == byte { isIn = true }
      low = one
    }
    guard at < glob.count, byte != 0x2F, isIn != isNegated else { return nil }
    return at + 1
  }

  /// The byte at `at`, or the one behind a backslash there, and goes past it.
  private func literal(_ at: inout Int) -> UInt8? {
    if glob[at] == 0x5C { at += 1 }
    guard at < glob.count else { return nil }
    at += 1
    return glob[at - 1]
  }

  /// `[:name:]` at `at`, and the index behind it.
  private func characterKind(_ at: Int) -> (name: UnsafeBufferPointer<UInt8>, end: Int)? {
    guard at + 1 < glob.count, glob[at] == 0x5B, glob[at + 1] == 0x3A else { return nil }
    var end = at + 2
    while end < glob.count, glob[end] != 0x5D { end += 1 }
    guard end < glob.count, end > at + 2, glob[end - 1] == 0x3A else { return nil }
    return (UnsafeBufferPointer(rebasing: glob[(at + 2)..<(end - 1)]), end + 1)
  }

  /// Whether a byte is of a kind of POSIX's in the C locale; nil for a kind that there is not.
  private static func contains(_ kind: UnsafeBufferPointer<UInt8>, _ byte: UInt8) -> Bool? {
    let isUpper = (0x41...0x5A).contains(byte)
    let isLower = (0x61...0x7A).contains(byte)
    let isDigit = (0x30...0x39).contains(byte)
    let isGraphic = (0x21...0x7E).contains(byte)
    let isAlphanumeric = isUpper || isLower || isDigit
    return switch String(decoding: kind, as: UTF8.self) {
    case "alpha": isUpper || isLower
    case "alnum": isAlphanumeric
    case "blank": byte == 0x20 || byte == 0x09
    case "cntrl": byte < 0x20 || byte == 0x7F
    case "digit": isDigit
    case "graph": isGraphic
    case "lower": isLower
    case "print": isGraphic || byte == 0x20
    case "punct": isGraphic && !isAlphanumeric
    case "space": byte == 0x20 || (0x09...0x0D).contains(byte)
    case "upper": isUpper
    case "xdigit":
      isDigit || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    default: nil
    }
  }
}
