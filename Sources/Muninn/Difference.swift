internal import MuninnPipeline

/// A path at which two trees differ.
public struct Difference: Sendable, Codable, Equatable {
  public enum Change: String, Sendable, Codable { case added, removed, changed }

  /// In what an entry differs from the other of its path.
  public enum Aspect: String, Sendable, Codable, CaseIterable {
    case kind, content, mode, owner, modified, attributes, linkTarget, device, flags
  }

  /// In the display encoding of names; empty for the root.
  public let path: String
  public let change: Change
  /// Empty but for `changed`.
  public let aspects: [Aspect]
  public let old: Entry?
  public let new: Entry?

  public init(path: String, change: Change, aspects: [Aspect], old: Entry?, new: Entry?) {
    self.path = path
    self.change = change
    self.aspects = aspects
    self.old = old
    self.new = new
  }

  init(_ difference: EntryDifference) {
    let flags: [(EntryAspects, Aspect)] = [
      (.kind, .kind), (.content, .content), (.mode, .mode), (.owner, .owner),
      (.modified, .modified), (.attributes, .attributes), (.linkTarget, .linkTarget),
      (.device, .device), (.flags, .flags),
    ]
    self.init(
      path: displayPath(difference.path),
      change: difference.old == nil ? .added : difference.new == nil ? .removed : .changed,
      aspects: flags.filter { difference.aspects.contains($0.0) }.map(\.1),
      old: difference.old.map { Entry($0) }, new: difference.new.map { Entry($0) })
  }
}
