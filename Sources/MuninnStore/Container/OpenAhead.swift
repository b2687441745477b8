internal import MuninnDisk
package import MuninnFormat

extension Store {
  /// Opens at once so many containers at most.
  private static let openAheadThreadCount = 8
  /// More are left to whoever needs them: the cache would drop the first ones again.
  private static let openAheadCount = 512

  /// Opens what of the containers is not open yet, several at the same time: whoever asks for one
  /// after the other waits for the disk as often. What cannot be opened is met by who needs it.
  package func openAhead(_ wanted: Set<Identifier>) {
    let missing = wanted.filter { containers.container($0) == nil && mayBeLive($0) }
    guard missing.count > 1 else { return }
    let ids = Array(missing.prefix(Store.openAheadCount))
    let threads = min(Store.openAheadThreadCount, ids.count)
    WorkerThreads.deal(ids.count, to: threads, name: "muninn-open") { next in
      while let at = next() { _ = try? container(ids[at]) }
    }
  }
}
