/// Which calls of a `MemoryStorage` fail, by number.
struct FaultPlan: Sendable {
  struct Fault: Sendable {
    let errno: CInt
    /// Whether the call does its work before it throws.
    let takesEffect: Bool
  }

  var single: [Int: Fault] = [:]
  var everythingFrom: (number: Int, errno: CInt)?

  func fault(at number: Int) -> Fault? {
    if let everythingFrom, number >= everythingFrom.number {
      return Fault(errno: everythingFrom.errno, takesEffect: false)
    }
    return single[number]
  }
}
