import MuninnFormat

/// Makes the checksum of an object's envelope good again, after a test has changed something in it.
package func mendEnvelope(_ bytes: inout [UInt8]) {
  guard bytes.count >= Envelope.byteCount else { return }
  let sum = bytes[..<120].withUnsafeBytes { checksum($0) }
  withUnsafeBytes(of: sum.littleEndian) { bytes.replaceSubrange(120..<128, with: $0) }
}
