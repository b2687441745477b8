import CMuninn
import Glibc
import MuninnTestSupport
import Testing

/// What fuzzing the kernels found is tried again in every run of the tests. The inputs' layouts are
/// those of `Tests/Fuzz/kernels.c`.
@Suite struct FuzzCorpusTests {
  @Test func kernelsAgreeOnKeptInputs() throws {
    for (name, input) in try corpusInputs("chunks") where input.count >= 8 {
      let minimum = 64 + number(input, at: 0) % 2000
      let average = minimum + 1 + number(input, at: 2) % 4000
      let sizes = mn_chunk_sizes(
        minimum: minimum, average: average,
        maximum: average + 1 + number(input, at: 4) % 20_000)
      let times = 1 + Int(input[7]) % 16
      let data = Array([[UInt8]](repeating: Array(input[8...]), count: times).joined())
      let expected = cuts(data, sizes, MN_KERNEL_PORTABLE)
      for kernel in usableKernels.dropFirst() {
        #expect(cuts(data, sizes, kernel) == expected, "\(name), kernel \(kernel)")
      }
    }
  }

  @Test func keptBlocksDecodeOrAreRefused() throws {
    for (name, input) in try corpusInputs("decompress") where input.count >= 2 {
      let expected = Int(number(input, at: 0))
      var target = [UInt8](repeating: 0xEE, count: expected + 64)
      let block = Array(input[2...])
      _ = target.withUnsafeMutableBufferPointer {
        mn_decompress(block, block.count, $0.baseAddress, expected)
      }
      #expect(target[expected...].allSatisfy { $0 == 0xEE }, "\(name)")
    }
  }

  @Test func keptDataComeBack() throws {
    for (name, input) in try corpusInputs("compress") where input.count >= 4 {
      let level: Int32 = [1, 3, 9, 12][Int(input[0]) % 4]
      let times = 1 + Int(input[2]) % (level > 3 ? 4 : 16)
      let data = Array([[UInt8]](repeating: Array(input[3...]), count: times).joined())
      _ = mn_looks_incompressible(data, data.count)
      let bound = mn_compress_bound(data.count)
      let capacity = input[1] == 0 ? bound : bound * Int(input[1]) / 256
      let scratch = UnsafeMutableRawPointer.allocate(
        byteCount: mn_compress_scratch_size(level), alignment: 16)
      defer { scratch.deallocate() }
      let block = [UInt8](unsafeUninitializedCapacity: capacity) { target, count in
        count = mn_compress(data, data.count, target.baseAddress, capacity, level, scratch)
      }
      guard !block.isEmpty else {
        #expect(capacity < bound, "\(name)")
        continue
      }
      var back = [UInt8](repeating: 0, count: data.count)
      #expect(mn_decompress(block, block.count, &back, back.count), "\(name)")
      #expect(back == data, "\(name)")
    }
  }
}

private func number(_ bytes: [UInt8], at offset: Int) -> UInt32 {
  UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8
}

/// The inputs that are kept for a target, in no order.
private func corpusInputs(
  _ target: String, file: StaticString = #filePath
) throws -> [(name: String, bytes: [UInt8])] {
  let tests = "\(file)".split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
  let folder = tests.joined(separator: "/") + "/Fuzz/corpus/\(target)"
  let directory = try #require(opendir(folder), "\(folder) cannot be listed")
  defer { closedir(directory) }
  var inputs: [(name: String, bytes: [UInt8])] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    guard !name.hasPrefix(".") else { continue }
    inputs.append((name, try readFile("\(folder)/\(name)")))
  }
  return inputs
}
