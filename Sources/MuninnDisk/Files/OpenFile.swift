import Glibc

/// A descriptor with one owner, closed in deinit.
package struct OpenFile: ~Copyable, Sendable {
  package let descriptor: CInt

  /// Takes over an open descriptor.
  package init(adopting descriptor: CInt) { self.descriptor = descriptor }

  deinit { _ = Glibc.close(descriptor) }

  /// Hands the open descriptor to whoever closes it now.
  package consuming func release() -> CInt {
    let descriptor = descriptor
    discard self
    return descriptor
  }

  /// Closes and reports what deinit would swallow: some file systems (NFS, quotas) refuse a write
  /// only now. The descriptor is gone in either case, so nothing is retried.
  package consuming func close(path: @autoclosure () -> String = "") throws(DiskError) {
    let descriptor = descriptor
    discard self
    if Glibc.close(descriptor) != 0 && errno != EINTR {
      throw SystemCall.failure(errno, "close", path())
    }
  }
}
