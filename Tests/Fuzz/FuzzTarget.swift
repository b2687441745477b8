import Glibc

/// The reader that `MUNINN_FUZZ_READER` names.
private let reader: FuzzedReader = {
  let name = getenv("MUNINN_FUZZ_READER").map { String(cString: $0) } ?? ""
  guard let reader = FuzzedReader(rawValue: name) else {
    fatalError("MUNINN_FUZZ_READER is '\(name)', not one of \(FuzzedReader.allCases)")
  }
  return reader
}()

/// libFuzzer's entry: stopping is how it learns of a fault.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let fault = reader.fault(input) { fatalError("\(reader.rawValue): \(fault)") }
  return 0
}
