import Glibc
import MuninnDisk
import MuninnTestSupport
import Testing

@Suite struct DirectoryListingTests {
  @Test func namesAreSortedAsUnsignedBytes() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator.printed()
    var expected = Set<[UInt8]>()
    for _ in 0..<2000 {
      // Few different bytes, so that names share long beginnings.
      let alphabet: [UInt8] = [0x01, 0x2d, 0x2e, 0x30, 0x61, 0x7f, 0x80, 0xff]
      let length = Int(generator.next() % 20) + 1
      let name = (0..<length).map { _ in alphabet[Int(generator.next() % 8)] }
      if name == [0x2e] || name == [0x2e, 0x2e] { continue }
      expected.insert(name)
    }
    expected.insert([UInt8](repeating: 0xfe, count: 255))
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    for name in expected {
      try withCName(name) {
        _ = try FileCalls.open(
          at: root.descriptor, $0, flags: O_WRONLY | O_CREAT, mode: 0o600, path: "p")
      }
    }
    let sorted = expected.sorted { $0.lexicographicallyPrecedes($1) }
    // Twice, because it starts from the beginning each time.
    for _ in 0..<2 {
      let listing = try DirectoryListing.read(root.descriptor, path: "p")
      #expect(listing.count == sorted.count)
      #expect((0..<listing.count).map { listing.name($0) } == sorted)
      for index in 0..<listing.count {
        let (length, name) = listing.withName(index) { name, length in
          (length, [UInt8](UnsafeRawBufferPointer(start: name, count: strlen(name))))
        }
        #expect(length == name.count && name == sorted[index])
      }
    }
  }

  @Test func kindsAndInodesAreHinted() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    try writeFile(directory.file("a"), [])
    try FileCalls.makeDirectory(at: root.descriptor, "b", mode: 0o700, path: "p")
    try FileCalls.makeSymlink(target: "a", at: root.descriptor, "c", path: "p")
    try FileCalls.makeNode(at: root.descriptor, "d", kind: .fifo, mode: 0o600, path: "p")
    let listing = try DirectoryListing.read(root.descriptor, path: "p")
    #expect(listing.count == 4)
    for index in 0..<listing.count {
      let status = try listing.withName(index) { name, _ in
        try FileCalls.status(at: root.descriptor, name, path: "p")
      }
      #expect(listing.inode(index) == status.inode)
      // No hint is allowed, a wrong one is not.
      #expect(listing.typeHint(index) == nil || listing.typeHint(index) == status.kind)
    }
  }

  @Test func anEmptyDirectoryHasNoNames() throws {
    let directory = try TemporaryDirectory()
    let root = try FileCalls.openDirectory(at: AT_FDCWD, directory.path, path: "p")
    #expect(try DirectoryListing.read(root.descriptor, path: "p").count == 0)
  }

  @Test func aFileIsNoDirectory() throws {
    let directory = try TemporaryDirectory()
    try writeFile(directory.file("a"), [])
    let file = try FileCalls.openForReading(at: AT_FDCWD, directory.file("a"), path: "p")
    #expect(throws: DiskError(errno: ENOTDIR, operation: "getdents64", path: "p")) {
      try DirectoryListing.read(file.descriptor, path: "p")
    }
  }
}
