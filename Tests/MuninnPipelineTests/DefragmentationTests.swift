import Glibc
import MuninnDisk
import MuninnFormat
import MuninnPipeline
import MuninnTestSupport
import Testing

/// What a defragmenting restore promises of the disk, on a small ext4 of its own where that can be
/// mounted.
@Suite struct DefragmentationTests {
  /// An ext4 in a file, mounted below a scratch directory; unmounted in the end.
  private final class Disk {
    let directory: TemporaryDirectory
    var path: String { directory.file("disk") }

    init?(megabytes: Int) throws {
      directory = try TemporaryDirectory()
      let image = directory.file("image")
      let script = """
        truncate -s \(megabytes)M '\(image)' && mkfs.ext4 -q -F '\(image)' \
        && mkdir '\(directory.file("disk"))' \
        && mount -o loop,noatime '\(image)' '\(directory.file("disk"))'
        """
      guard geteuid() == 0, try runProgram(["sh", "-c", script]).status == 0 else { return nil }
    }

    deinit { _ = try? runProgram(["umount", path]) }

    /// The number that filefrag prints for a file.
    func fragments(of file: String) throws -> UInt64? {
      let words = try runProgram(["filefrag", file]).output.split(separator: " ")
      guard let index = words.lastIndex(where: { $0.hasPrefix("extent") }), index > 0 else {
        return nil
      }
      return UInt64(words[index - 1])
    }
  }

  @Test func countsAreADistribution() {
    var counts = ExtentCounts()
    #expect(counts.percentile(50) == 0 && counts.files == 0)
    for _ in 0..<98 { counts.add(1) }
    counts.add(0)
    counts.add(7)
    counts.add(9)
    #expect(counts.files == 100)
    #expect(counts.total == 114)
    #expect(counts.percentile(50) == 1)
    #expect(counts.percentile(98) == 1)
    #expect(counts.percentile(99) == 7)
    #expect(counts.percentile(100) == 9)
    #expect(counts.maximum == 9)
  }

  /// On a disk whose free space is in small pieces but for one, files come out in one piece each,
  /// sparse ones with their holes; and what the report says is what filefrag says.
  @Test func filesLieInOnePieceAndFilefragAgrees() throws {
    guard let disk = try Disk(megabytes: 96) else { return }
    let repository = try HandMadeRepository()
    var generator = SeededGenerator.printed()
    let hole: UInt64 = 3 << 20
    var sparse: [Extent] = []
    var dense: [Extent] = []
    for _ in 0..<40 {
      let chunk = try repository.chunk(generator.bytes(1 << 16))
      dense.append(.chunk(chunk))
      sparse += [.chunk(chunk), .hole(hole)]
    }
    let root = try repository.finish([
      [
        repository.directory(""), repository.file("dense", dense),
        try repository.longFile("long", sparse, perPage: 7),
        repository.file("sparse", Array(sparse.prefix(40))),
      ]
    ])
    // Single blocks, every other one of which is free again, and a run that is large enough.
    let age = """
      cd '\(disk.path)' && mkdir old && cd old
      for i in $(seq 2000); do head -c 4096 /dev/zero >f$i; done; sync
      for i in $(seq 1 2 2000); do rm f$i; done; sync
      """
    #expect(try runProgram(["sh", "-c", age]).status == 0)
    let target = disk.path + "/restored"
    let outcome = try repository.restore(root, to: target) {
      $0.defragment = true
      $0.countsExtents = true
    }
    #expect(outcome.failureCount == 0)
    let extents = try #require(outcome.extents)
    var total: UInt64 = 0
    for name in ["dense", "long", "sparse"] {
      let path = target + "/" + name
      total += try #require(try disk.fragments(of: path))
      let status = try FileCalls.status(at: AT_FDCWD, path, path: path)
      let data: UInt64 = name == "sparse" ? 20 << 16 : 40 << 16
      #expect(status.blocks512 * 512 <= data + (1 << 16), "\(name) has lost its holes")
    }
    #expect(extents.files == 3)
    #expect(extents.total == total)
    #expect(try disk.fragments(of: target + "/dense") == 1)
    // The root of ext4 reserves what fits; nothing but the disk's own pieces may split a file.
    #expect(extents.maximum <= 4)
    let again = try repository.restore(root, to: disk.path + "/plain") { $0.countsExtents = true }
    #expect(try #require(again.extents).total >= extents.total)
  }
}
