import Glibc
import MuninnDisk
import Testing

@Suite struct DiskErrorTests {
  @Test func saysWhatWhereAndWhy() {
    let error = DiskError(errno: ENOSPC, operation: "write", path: "/repo/x")
    #expect(error.description == "write /repo/x: No space left on device (ENOSPC)")
    let unknown = DiskError(errno: 4711, operation: "open", path: "a")
    #expect(unknown.description.hasPrefix("open a: "))
    #expect(unknown.description.hasSuffix("(errno 4711)"))
  }

  @Test(arguments: [
    (ENOENT, "notFound"), (ENOSPC, "noSpace"), (EDQUOT, "noSpace"), (EACCES, "denied"),
    (EPERM, "denied"), (EEXIST, "exists"), (EIO, ""), (EINTR, ""), (EROFS, ""),
  ])
  func isOfItsKindAndNoOther(errno: CInt, kind: String) {
    let error = DiskError(errno: errno, operation: "x", path: "y")
    #expect(error.isNotFound == (kind == "notFound"))
    #expect(error.isNoSpace == (kind == "noSpace"))
    #expect(error.isAccessDenied == (kind == "denied"))
    #expect(error.exists == (kind == "exists"))
  }
}
