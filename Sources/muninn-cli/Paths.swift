import Glibc

/// Paths of the command line, made absolute. Names are bytes here.
enum Paths {
  private static let slash = UInt8(ascii: "/")
  private static let parent = Array("..".utf8)[...]

  /// `path` below the working directory where it is relative; `.` and empty components are dropped,
  /// and where there is a `..` the directories before the last component are resolved by the
  /// system, links included.
  static func absoluteBytes(_ path: String) -> [UInt8] {
    absolute(RawArguments.bytes(of: path))
  }

  /// The same for a path that is no argument.
  static func absolute(_ given: [UInt8]) -> [UInt8] {
    let whole = given.first == slash ? given : workingDirectory + [slash] + given
    var components = whole.split(separator: slash).filter { $0 != [UInt8(ascii: ".")] }
    guard components.contains(parent) else { return joined(components) }
    var last: [ArraySlice<UInt8>] = []
    if let end = components.last, end != parent {
      last = [end]
      components.removeLast()
    }
    let directory = joined(components)
    let resolved = realPath(directory) ?? directory
    return joined(resolved.split(separator: slash) + last)
  }

  /// The same for a path that only goes where text does; bytes that are not UTF-8 are repaired.
  static func absolute(_ path: String) -> String {
    String(decoding: absoluteBytes(path), as: UTF8.self)
  }

  /// Where programs keep a user's data: `$XDG_DATA_HOME`, or `~/.local/share`.
  static var dataHome: String {
    if let home = environment("XDG_DATA_HOME"), home.hasPrefix("/") { return home }
    return (environment("HOME") ?? "/") + "/.local/share"
  }

  private static func joined(_ components: [ArraySlice<UInt8>]) -> [UInt8] {
    components.isEmpty ? [slash] : components.flatMap { [slash] + $0 }
  }

  private static var workingDirectory: [UInt8] {
    guard let path = getcwd(nil, 0) else { return [slash] }
    defer { free(path) }
    return bytes(path)
  }

  private static func realPath(_ path: [UInt8]) -> [UInt8]? {
    let real = (path.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { path in
      path.baseAddress.flatMap { realpath($0, nil) }
    }
    guard let real else { return nil }
    defer { free(real) }
    return bytes(real)
  }

  /// The bytes of a text of the system's, without the zero that ends it.
  private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
    (0..<strlen(text)).map { UInt8(bitPattern: text[$0]) }
  }

  private static func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
  }
}
