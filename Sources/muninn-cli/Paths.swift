import Glibc

/// Paths of the command line, made absolute.
enum Paths {
  /// `path` below the working directory where it is relative; `.` and empty components are dropped,
  /// and where there is a `..` the directories before the last component are resolved by the
  /// system, links included.
  static func absolute(_ path: String) -> String {
    let whole = path.hasPrefix("/") ? path : workingDirectory + "/" + path
    var components = whole.split(separator: "/").filter { $0 != "." }
    guard components.contains("..") else { return "/" + components.joined(separator: "/") }
    var last: Substring = ""
    if let end = components.last, end != ".." {
      last = end
      components.removeLast()
    }
    let directory = "/" + components.joined(separator: "/")
    let resolved = realPath(directory) ?? directory
    if last.isEmpty { return resolved }
    return resolved == "/" ? "/\(last)" : "\(resolved)/\(last)"
  }

  /// Where programs keep a user's data: `$XDG_DATA_HOME`, or `~/.local/share`.
  static var dataHome: String {
    if let home = environment("XDG_DATA_HOME"), home.hasPrefix("/") { return home }
    return (environment("HOME") ?? "/") + "/.local/share"
  }

  private static var workingDirectory: String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
  }

  private static func realPath(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  private static func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
  }
}
