import CMuninn
import Glibc
import MuninnDisk
import Synchronization

/// One hash over the names and contents of a tree's regular files, whatever the order of reading.
enum ContentHash {
  static func of(_ root: String, threads: Int) throws -> String {
    let files = try SourceFiles.list(root)
    let sum = Atomic<UInt64>(0)
    WorkerThreads.deal(files.count, to: threads, name: "hash") { next in
      let buffer = Buffer(capacity: 1 << 20)
      while let index = next() {
        let name = Array(files[index].path.utf8.dropFirst(root.utf8.count))
        let mixed = hash(files[index].path, name, buffer.bytes)
        sum.bitwiseXor(mixed, ordering: .relaxed)
      }
    }
    return String(sum.load(ordering: .relaxed), radix: 16)
  }

  private static func hash(
    _ path: String, _ name: [UInt8], _ buffer: UnsafeMutableRawBufferPointer
  ) -> UInt64 {
    var hash = name.withUnsafeBufferPointer { mn_checksum($0.baseAddress, $0.count) }
    guard let file = try? FileCalls.openForReading(at: AT_FDCWD, path, path: path) else {
      return ~hash
    }
    while let count = try? FileCalls.read(file.descriptor, into: buffer, path: path), count > 0 {
      let piece = mn_checksum(buffer.assumingMemoryBound(to: UInt8.self).baseAddress, count)
      hash = (hash ^ piece) &* 0x9E37_79B9_7F4A_7C15
    }
    return hash
  }
}
