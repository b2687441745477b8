import ArgumentParser
import Glibc
import Muninn

/// Which entries of the sources a backup takes.
struct SourceOptions: ParsableArguments {
  @Option(
    name: .customLong("exclude"),
    help: "A pattern as in .gitignore, of what to leave out; may be given several times.")
  var excludes: [String] = []
  @Option(help: "A file of such patterns, one a line; may be given several times.")
  var excludeFrom: [String] = []
  @Option(
    name: .customLong("include"),
    help: """
      A pattern as in .gitignore, of what to take and nothing else; may be given several times.
      """)
  var includes: [String] = []
  @Option(help: "A file of such patterns, one a line; may be given several times.")
  var includeFrom: [String] = []
  @Flag(
    name: [.customLong("one-file-system"), .customShort("x")],
    help: "Stay on the file system of each path; mount points are kept as empty directories.")
  var oneFileSystem = false
  @Flag(help: "Of directories with a CACHEDIR.TAG file, take that file alone.")
  var excludeCaches = false
  @Option(
    help: ArgumentHelp(
      "Of directories with a file of this name (that begins so), take that file alone.",
      valueName: "name[:text]"))
  var excludeIfPresent: [String] = []
  @Flag(help: "Leave out what chattr +d marks.")
  var excludeNodump = false
  @Option(help: "Leave out files that are smaller: 4096, 64K, 10M, 2G.")
  var minSize: FileSize?
  @Option(help: "Leave out files that are larger.")
  var maxSize: FileSize?
  @Option(
    help: ArgumentHelp(
      """
      Take only these kinds, besides directories: f files, l symlinks, p FIFOs, s sockets, \
      c and b devices.
      """, valueName: "letters"))
  var type: EntryKinds?
  @Option(
    help: "Take the paths in this file too, one a line; - means standard input.")
  var filesFrom: [String] = []
  @Option(
    name: .customLong("files-from0"), help: "The same with a NUL behind each path.")
  var filesFromNul: [String] = []

  func apply(to request: inout BackupRequest) throws {
    request.excludes = try excludes + excludeFrom.flatMap { try InputFile.lines($0) }
    request.includes = try includes + includeFrom.flatMap { try InputFile.lines($0) }
    request.staysOnFileSystem = oneFileSystem
    request.leavesCachesOut = excludeCaches
    request.markers = excludeIfPresent
    request.leavesNoDumpOut = excludeNodump
    request.minimumFileSize = minSize?.bytes
    request.maximumFileSize = maxSize?.bytes
    request.kinds = type?.kinds
    for (files, separator) in [(filesFrom, UInt8(ascii: "\n")), (filesFromNul, 0)] {
      for file in files {
        request.listedPaths += try InputFile.bytes(file).split(separator: separator).map {
          PathText.encode(Paths.absolute(Array($0)))
        }
        request.listName = file == "-" ? "/dev/stdin" : PathText.encode(Paths.absoluteBytes(file))
      }
    }
  }
}

/// A number of bytes: `65536`, `64K`, `64KiB`, `1.5G`.
struct FileSize: ExpressibleByArgument {
  let bytes: UInt64

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    var unit = argument.dropFirst(digits.count).lowercased()
    if unit.hasSuffix("ib") { unit.removeLast(2) }
    let units = ["", "k", "m", "g", "t", "p"]
    guard let power = units.firstIndex(of: unit), let number = Double(digits), number >= 0
    else { return nil }
    let value = (number * Double(UInt64(1) << UInt64(10 * power))).rounded()
    guard value < 9.2e18 else { return nil }
    bytes = UInt64(value)
  }
}

/// Kinds of entries by the letters that find(1) has for them.
struct EntryKinds: ExpressibleByArgument {
  let kinds: Set<Entry.Kind>

  init?(argument: String) {
    let letters: [Character: Entry.Kind] = [
      "f": .file, "l": .symlink, "p": .fifo, "s": .socket, "c": .characterDevice,
      "b": .blockDevice, "d": .directory,
    ]
    var kinds: Set<Entry.Kind> = []
    for letter in argument where letter != "," {
      guard let kind = letters[letter] else { return nil }
      kinds.insert(kind)
    }
    if kinds.isEmpty { return nil }
    self.kinds = kinds
  }
}

/// Files that options name.
enum InputFile {
  static func bytes(_ name: String) throws -> [UInt8] {
    let path = RawArguments.bytes(of: name).map { CChar(bitPattern: $0) } + [0]
    let descriptor = name == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(name) }
    defer { if name != "-" { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure(name) }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }

  static func lines(_ name: String) throws -> [String] {
    try bytes(name).split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func failure(_ name: String) -> MuninnError {
    let reason = String(cString: strerror(errno))
    return MuninnError(.notFound, "'\(Terminal.safe(name))' cannot be read: \(reason)")
  }
}
