/// Turns a location of a request into an absolute path of this machine.
///
/// Both separators separate; `~` is the server's base directory. What is written for another kind
/// of system is refused with a sentence that says what a location looks like here.
package enum Location {
  private static let howTo =
    "A location is an absolute path such as /srv/backups/x, or ~/backups/x below the server's base"
    + " directory."

  /// The path that `text` means. `field` names it in messages; `base` is an absolute path.
  package static func path(
    _ text: String, field: String, base: String
  ) throws(Refusal) -> String {
    func refuse(_ what: String) -> Refusal { Refusal(.badRequest, "\(field) \(what). \(howTo)") }

    if text.isEmpty { throw refuse("is empty") }
    let scalars = Array(text.unicodeScalars)
    if scalars.count >= 2, scalars[1] == ":", scalars[0].properties.isAlphabetic,
      scalars.count == 2 || scalars[2].value < 0x20 || scalars[2] == "\\" || scalars[2] == "/"
        || scalars[0].isASCII
    {
      throw refuse("\(quoted(text)) begins with a drive letter, which this machine does not have")
    }
    if let control = scalars.first(where: { $0.value < 0x20 || $0.value == 0x7F }) {
      throw refuse(
        "\(quoted(text)) has the control character U+\(hexadecimal(control.value)) in it. A single"
          + " backslash before b, f, n, r or t is a JSON escape: write / or two backslashes")
    }
    if text.hasPrefix("\\\\") {
      throw refuse("\(quoted(text)) names a network share; mount it and name the directory")
    }
    if text.first != "/", let scheme = text.firstRange(of: "://") {
      let name = text[..<scheme.lowerBound]
      throw refuse("\(quoted(text)): \(name):// locations are not in this build")
    }
    var components = text.split(omittingEmptySubsequences: true) { $0 == "/" || $0 == "\\" }
      .filter { $0 != "." }
    if components.contains("..") { throw refuse("\(quoted(text)) has .. in it, which is refused") }
    if components.contains(where: { $0.utf8.count > 255 }) || text.utf8.count > 4000 {
      throw refuse("is longer than this machine allows")
    }
    let start: String
    if components.first == "~" {
      components.removeFirst()
      start = base
    } else if text.first == "/" || text.first == "\\" {
      start = ""
    } else if text.first == "~" {
      throw refuse("\(quoted(text)) is not below ~: other users' directories have no short form")
    } else {
      throw refuse("\(quoted(text)) is relative")
    }
    let path = components.reduce(into: start) { $0 += "/" + $1 }
    return path.isEmpty ? "/" : path
  }

  /// Whether `path` is `ancestor` or lies below it; both absolute and without `.` and `..`.
  package static func isInside(_ path: String, _ ancestor: String) -> Bool {
    if ancestor == "/" { return true }
    return path == ancestor || path.utf8.starts(with: (ancestor + "/").utf8)
  }

  private static func quoted(_ text: String) -> String {
    let shown = text.unicodeScalars.map { scalar in
      scalar.value < 0x20 || scalar.value == 0x7F
        ? "\\u{\(hexadecimal(scalar.value))}" : String(scalar)
    }
    return "'\(shown.joined().prefix(200))'"
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - text.count)) + text
  }
}
