import Glibc
import MuninnDisk

/// A tree that is another one with each generation.
protocol ChangingTree: AnyObject {
  var path: String { get }

  /// Makes the next generation; the first call makes the tree.
  func advance() throws
}

/// A generated tree that is worked on as people and programs do: mostly the same fifth of the files
/// is edited, here and there, now and then by an insertion; some files come, go and move.
final class EditedTree: ChangingTree {
  let path: String
  private let tree: GeneratedTree
  private let edited: Double
  private var generator: SeededGenerator
  private var files: [String] = []
  private var madeCount = 0

  /// Of the files that are edited, the part that lies among the first fifth.
  private static let hotShare = 0.8
  private static let hotPart = 0.2
  /// New, deleted and renamed files, as parts of all.
  private static let newShare = 0.005
  private static let deletedShare = 0.003
  private static let renamedShare = 0.003

  init(_ path: String, tree: GeneratedTree, edited: Double, seed: UInt64) throws {
    self.path = path
    self.tree = tree
    self.edited = edited
    generator = SeededGenerator(seed: seed ^ 0xED17)
  }

  func advance() throws {
    if files.isEmpty {
      try tree.write(to: path)
      files = try SourceFiles.list(path).map(\.path)
      // Which of them are worked on has nothing to do with their names.
      files.shuffle(using: &generator)
      return
    }
    let all = Double(files.count)
    for _ in 0..<Int((all * edited).rounded()) { try edit(files[draw()]) }
    for _ in 0..<Int((all * Self.deletedShare).rounded()) where files.count > 1 {
      let index = Int(generator.next() % UInt64(files.count))
      unlink(files[index])
      files.remove(at: index)
    }
    for _ in 0..<Int((all * Self.renamedShare).rounded()) {
      let index = Int(generator.next() % UInt64(files.count))
      let name = try newName()
      guard rename(files[index], name) == 0 else { throw BenchError("\(name) cannot be made") }
      files[index] = name
    }
    let mean = tree.byteCount / max(1, tree.fileCount)
    for _ in 0..<Int((all * Self.newShare).rounded()) {
      let name = try newName()
      try write(name, bytes(Int(generator.next() % UInt64(max(1, 2 * mean)))))
      files.insert(name, at: Int(generator.next() % UInt64(files.count)))
    }
  }

  /// The place of a file that is worked on.
  private func draw() -> Int {
    let isHot = Double(generator.next() >> 11) / 9_007_199_254_740_992 < Self.hotShare
    let hot = max(1, Int(Double(files.count) * Self.hotPart))
    return Int(generator.next() % UInt64(isHot ? hot : files.count))
  }

  private func newName() throws -> String {
    madeCount += 1
    let folder = path + "/n\(madeCount / 100)"
    _ = try LocalStorage(path: folder, create: true)
    return folder + "/f\(madeCount)"
  }

  /// A small file is saved whole, as editors do; of a larger one a piece changes, moves up what
  /// follows it, or comes at the end.
  private func edit(_ name: String) throws {
    var content: [UInt8] = []
    _ = SourceFiles.withContent(name) { content = [UInt8]($0) }
    let length = Int(generator.next() % 20_000) + 100
    if content.count < 32 << 10 {
      content = bytes(max(length, content.count))
    } else {
      let at = Int(generator.next() % UInt64(content.count))
      switch generator.next() % 4 {
      case 0: content.insert(contentsOf: bytes(length / 10), at: at)
      case 1: content += bytes(length)
      default:
        let end = min(content.count, at + length)
        content.replaceSubrange(at..<end, with: bytes(end - at))
      }
    }
    try write(name, content)
  }

  private func bytes(_ count: Int) -> [UInt8] {
    let seed = generator.next()
    return [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
      // Sound: every byte of the buffer is filled before its count is told.
      GeneratedData.fill(
        UnsafeMutableRawBufferPointer(target), seed: seed, compressible: tree.compressible)
      initialized = count
    }
  }

  private func write(_ name: String, _ content: [UInt8]) throws {
    try FileContent.write(name, content)
  }
}

/// Directories that were there before, one a generation: files that are the same stay as they are.
final class ChainedTrees: ChangingTree {
  let path: String
  private var versions: [String]

  init(_ path: String, versions: [String]) throws {
    self.path = path
    self.versions = versions.reversed()
    _ = try LocalStorage(path: path, create: true)
  }

  func advance() throws {
    guard let version = versions.popLast() else { throw BenchError("there are no more versions") }
    var left = Set(try SourceFiles.list(path).map { String($0.path.dropFirst(path.count)) })
    for file in try SourceFiles.list(version) {
      let name = String(file.path.dropFirst(version.count))
      let own = path + name
      var content: [UInt8] = []
      _ = SourceFiles.withContent(file.path) { content = [UInt8]($0) }
      if left.remove(name) != nil {
        var isSame = content.isEmpty && file.size == 0
        _ = SourceFiles.withContent(own) { old in
          isSame = content.count == old.count && content.elementsEqual(old)
        }
        if isSame { continue }
      }
      if let slash = own.lastIndex(of: "/") {
        _ = try LocalStorage(path: String(own[..<slash]), create: true)
      }
      try FileContent.write(own, content)
    }
    for name in left { unlink(path + name) }
  }
}

enum FileContent {
  /// Makes a file, or puts other content into it.
  static func write(_ name: String, _ content: [UInt8]) throws {
    let file = try FileCalls.open(
      at: AT_FDCWD, name, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644, path: name)
    try content.withUnsafeBytes { bytes in
      if bytes.count > 0 { try FileCalls.write(file.descriptor, bytes, path: name) }
    }
  }
}
