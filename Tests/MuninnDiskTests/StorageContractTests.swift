import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

@Suite struct StorageContractTests {
  @Test(arguments: StorageContract.allCases)
  func localKeepsIt(part: StorageContract) throws {
    let directory = try TemporaryDirectory()
    try part.check { try LocalStorage(path: directory.file("repository"), create: true) }
  }

  @Test(arguments: StorageContract.allCases)
  func localWithTemporaryNamesKeepsIt(part: StorageContract) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("repository")
    try part.check { try LocalStorage(path: path, create: true, usesNamelessFiles: false) }
    let file = try FileCalls.openDirectory(at: AT_FDCWD, path + "/tmp", path: path)
    #expect(try DirectoryListing.read(file.descriptor, path: path).count == 0)
  }

  @Test(.enabled(if: access("/dev/shm", W_OK) == 0), arguments: StorageContract.allCases)
  func localOnMemoryFileSystemKeepsIt(part: StorageContract) throws {
    let directory = try TemporaryDirectory(in: "/dev/shm")
    try part.check { try LocalStorage(path: directory.path, create: false) }
  }

  @Test(arguments: StorageContract.allCases)
  func memoryKeepsIt(part: StorageContract) throws {
    try part.check { MemoryStorage() }
  }
}
