import Glibc
package import MuninnDisk

// Whole files by path, for tests.

/// Reads up to `count` bytes.
package func readBytes(
  _ descriptor: CInt, at offset: UInt64, count: Int, path: String
) throws(DiskError) -> [UInt8] {
  var failure: DiskError?
  let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
    do throws(DiskError) {
      initialized = try FileCalls.read(
        descriptor, at: offset, into: UnsafeMutableRawBufferPointer(buffer), path: path)
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
  return bytes
}

/// All bytes of a file.
package func readFile(_ path: String) throws(DiskError) -> [UInt8] {
  let file = try FileCalls.open(at: AT_FDCWD, path, flags: O_RDONLY, path: path)
  let size = try FileCalls.status(of: file.descriptor, path: path).size
  return try readBytes(file.descriptor, at: 0, count: Int(size), path: path)
}

/// Creates or replaces the content of a file, mode 0644 less the umask.
package func writeFile(_ path: String, _ bytes: [UInt8]) throws(DiskError) {
  let file = try FileCalls.open(
    at: AT_FDCWD, path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644, path: path)
  try writeBytes(file.descriptor, at: 0, bytes, path: path)
}

package func writeBytes(
  _ descriptor: CInt, at offset: UInt64, _ bytes: [UInt8], path: String
) throws(DiskError) {
  var failure: DiskError?
  bytes.withUnsafeBytes { bytes in
    do throws(DiskError) {
      try FileCalls.write(descriptor, at: offset, bytes, path: path)
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
}

/// A file name as the C string that the calls take. The name holds no NUL.
package func withCName<Result: ~Copyable, Failure: Error>(
  _ name: [UInt8], _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let text = name.map { CChar(bitPattern: $0) } + [0]
  return try body(text)
}
