/// Bytes that are not what the format says. Carries no location: whoever read the bytes knows the
/// object and adds it.
package struct FormatError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: Sendable, Equatable {
    /// Fewer bytes than the layout needs.
    case truncated
    /// Not the magic number of any, or of the wanted, kind of object.
    case wrongKind
    /// Written by a newer version of the format.
    case unsupportedVersion
    /// A checksum or an authentication tag does not match.
    case checksumMismatch
    /// Belongs to another repository, or is not the object that its name says.
    case wrongIdentity
    /// A value outside its limits.
    case invalidValue
    /// A key is needed and missing, or it is an older one.
    case wrongKey
  }

  package let code: Code
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { message }
}
