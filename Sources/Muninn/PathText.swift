internal import MuninnPipeline

/// Paths as text, without loss: names are bytes, and text of this library is UTF-8.
///
/// UTF-8 stands for itself, a backslash is written `\\`, and any other byte `\xNN`. Every path in a
/// request or a report of this library is such text, so a program that has bytes encodes them
/// first.
public enum PathText {
  /// The text of a path's bytes.
  public static func encode(_ bytes: some Sequence<UInt8>) -> String { displayPath(bytes) }

  /// The bytes that `text` stands for. A backslash that begins no escape stands for itself.
  public static func decode(_ text: String) -> [UInt8] { pathBytes(display: text) }
}
