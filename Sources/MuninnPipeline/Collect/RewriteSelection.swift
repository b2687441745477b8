internal import MuninnFormat

/// How much may stay in live containers that nobody needs.
package enum UnusedLimit: Sendable, Equatable {
  /// Of the bytes of all containers.
  case fraction(Double)
  case bytes(UInt64)
  case unlimited

  func allowed(of total: UInt64) -> UInt64 {
    switch self {
    case .fraction(let part): UInt64(Double(total) * min(max(part, 0), 1))
    case .bytes(let count): count
    case .unlimited: .max
    }
  }
}

/// Which containers a prune rewrites: those with the largest unneeded part first, since they give
/// the most space back for what is copied, until little enough is left.
struct RewriteSelection {
  /// Ordinals of the usage's items.
  private(set) var items: [Int] = []
  /// Bytes on the disk that nobody needs, before and after; and what is to be copied.
  private(set) var unusedBefore: UInt64 = 0
  private(set) var unusedAfter: UInt64 = 0
  private(set) var rewrittenByteCount: UInt64 = 0
  private(set) var totalByteCount: UInt64 = 0

  /// `maximumRewrite`: bytes on the disk of what is copied at most.
  init(_ usage: ContainerUsage, limit: UnusedLimit, maximumRewrite: UInt64?) {
    var candidates: [(item: Int, unused: UInt64, used: UInt64)] = []
    for (ordinal, item) in usage.items.enumerated() {
      totalByteCount += item.record.byteCount
      let unused = item.unusedByteCount
      unusedBefore += unused
      guard unused > 0, !item.isUnknown else { continue }
      candidates.append((ordinal, unused, item.storedUsedByteCount))
    }
    unusedAfter = unusedBefore
    candidates.sort {
      let (left, right) = (
        Double($0.used) / Double($0.unused), Double($1.used) / Double($1.unused)
      )
      return left != right ? left < right : $0.item < $1.item
    }
    var total = totalByteCount
    for candidate in candidates {
      guard unusedAfter > limit.allowed(of: total) else { break }
      if let maximumRewrite, candidate.used > maximumRewrite - rewrittenByteCount { continue }
      items.append(candidate.item)
      rewrittenByteCount += candidate.used
      unusedAfter -= candidate.unused
      total -= candidate.unused
    }
  }
}
