/// The program's arguments, without loss: an argument may be any bytes, and Swift's own list of
/// them has those repaired that are not UTF-8.
enum RawArguments {
  /// Where the bytes of an argument that is not UTF-8 are kept in its text: one scalar of the last
  /// private plane for each byte past ASCII. An argument that is UTF-8 is its own text.
  private static let plane: UInt32 = 0x10F000

  /// All arguments but the program's name.
  static var texts: [String] {
    var texts: [String] = []
    // Sound: the system keeps argc pointers there, each to a text that a zero byte ends.
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { break }
      texts.append(String(validatingCString: argument) ?? kept(UnsafePointer(argument)))
    }
    return texts
  }

  /// The bytes of an argument, or of a part of one.
  static func bytes(of text: some StringProtocol) -> [UInt8] {
    text.unicodeScalars.flatMap { scalar -> [UInt8] in
      if let byte = UInt8(exactly: Int64(scalar.value) - Int64(plane)), byte >= 0x80 {
        return [byte]
      }
      return Array(String(scalar).utf8)
    }
  }

  private static func kept(_ argument: UnsafePointer<CChar>) -> String {
    var text = String.UnicodeScalarView()
    var pointer = argument
    while pointer.pointee != 0 {
      let byte = UInt8(bitPattern: pointer.pointee)
      if let scalar = Unicode.Scalar(byte < 0x80 ? UInt32(byte) : plane + UInt32(byte)) {
        text.append(scalar)
      }
      pointer += 1
    }
    return String(text)
  }
}
