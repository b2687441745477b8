import Glibc
import MuninnTestSupport
import Testing

/// What fuzzing found is read again in every run of the tests: `Tests/Fuzz/corpus`, which
/// `Tests/Fuzz/run.sh` made.
@Suite struct FuzzCorpusTests {
  @Test(arguments: FuzzedReader.allCases)
  func keptInputsAreReadOrRefused(reader: FuzzedReader) throws {
    let inputs = try corpusInputs(reader.rawValue)
    #expect(!inputs.isEmpty, "no inputs are kept for \(reader.rawValue)")
    for (name, input) in inputs {
      #expect(reader.fault(input) == nil, "\(reader.rawValue)/\(name)")
    }
  }

  /// The corpus stays small: it is part of every clone.
  @Test func corpusIsSmall() throws {
    let count = try FuzzedReader.allCases.reduce(0) { sum, reader in
      try sum + corpusInputs(reader.rawValue).reduce(0) { $0 + $1.bytes.count }
    }
    #expect(count < 200 << 10)
  }
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
