import Foundation

/// One line of our own sources.
struct SourceLine {
  let path: String
  let number: Int
  /// As it is in the file.
  let text: String
  /// Without a comment that takes the rest of the line, so that prose may name what code may not call.
  let code: String

  var place: String { "\(path):\(number): \(text.trimmingCharacters(in: .whitespaces))" }
}

/// One file of our own sources, read once.
struct SourceFile {
  /// Below the package's root, with `/`.
  let path: String
  let lines: [SourceLine]

  init(path: String, text: String) {
    self.path = path
    var texts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if texts.last == "" { texts.removeLast() }
    lines = texts.enumerated().map { index, text in
      SourceLine(path: path, number: index + 1, text: text, code: SourceFile.code(of: text))
    }
  }

  var isSwift: Bool { path.hasSuffix(".swift") }

  func isBelow(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }

  /// The line up to the first `//` that stands outside a string literal.
  private static func code(of text: String) -> String {
    var isInString = false
    var previous: Character?
    for index in text.indices {
      let character = text[index]
      if character == "\"", previous != "\\" { isInString.toggle() }
      if character == "/", previous == "/", !isInString {
        return String(text[..<text.index(before: index)])
      }
      previous = character
    }
    return text
  }
}

/// The package that this test was compiled from.
enum SourceTree {
  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// Swift and C files below these folders of the package, in path order.
  static func files(in folders: [String]) throws -> [SourceFile] {
    let prefix = root.path(percentEncoded: false)
    var files: [SourceFile] = []
    for folder in folders {
      let enumerator = FileManager.default.enumerator(
        at: root.appending(path: folder), includingPropertiesForKeys: nil,
        options: [.skipsHiddenFiles])
      while let url = enumerator?.nextObject() as? URL {
        guard ["swift", "c", "h"].contains(url.pathExtension) else { continue }
        let path = url.path(percentEncoded: false)
        let below = path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
        files.append(SourceFile(path: below, text: try String(contentsOf: url, encoding: .utf8)))
      }
    }
    return files.sorted { $0.path < $1.path }
  }
}
