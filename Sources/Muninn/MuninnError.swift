/// What every public function of Muninn throws: what happened, to which value, and what to do about
/// it.
public struct MuninnError: Error, Sendable, CustomStringConvertible {
  /// The closed set of things that can go wrong, for programs to switch over.
  public enum Code: String, Sendable, Codable, CaseIterable {
    /// An argument, option or request that cannot be used.
    case invalidInput
    /// The location holds no repository.
    case notARepository
    /// The location holds a repository already, or is not empty.
    case alreadyExists
    /// A repository, snapshot, path or file that is not there.
    case notFound
    /// The repository was written by a newer format than this build understands.
    case unsupportedFormat
    /// Bytes of the repository that are not what was written.
    case damaged
    /// The repository is older than what this machine has seen of it, or another in its place.
    case rolledBack
    /// No key, the wrong one, or one where none is needed.
    case wrongKey
    /// The operating system refused access.
    case accessDenied
    /// The disk or the quota is full.
    case noSpace
    /// Another operation stands in the way.
    case busy
    /// The operation was cancelled before it was done.
    case cancelled
    /// Some paths could not be read or written; everything else was.
    case partial
    /// Any other failure of the operating system.
    case inputOutput
  }

  public let code: Code
  /// One or two sentences: what happened, which value, what to do.
  public let message: String
  /// The path or object it happened at, when there is one.
  public let path: String?
  /// The id of the partial snapshot that a backup left which did not end.
  public internal(set) var partialSnapshot: String?

  public init(_ code: Code, _ message: String, path: String? = nil) {
    self.code = code
    self.message = message
    self.path = path
  }

  public var description: String { message }
}
