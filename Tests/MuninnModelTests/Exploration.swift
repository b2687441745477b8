/// Every world that can be reached, breadth first, so that a violation comes with a shortest way.
struct Exploration {
  private(set) var stateCount = 0
  private(set) var stepCount = 0
  /// The most steps that a world is away from the first.
  private(set) var depth = 0
  private(set) var violation: Violation?
  /// The steps that lead to the violation.
  private(set) var trace: [String] = []

  private var worlds: [PackedWorld] = []
  private var parents: [UInt32] = []
  /// Open addressing: numbers of worlds, from 1; 0 is free.
  private var table = [UInt32](repeating: 0, count: 1 << 12)

  /// Explores until nothing is new, a violation is found, or `limit` worlds are known.
  init(_ cast: Cast, _ rules: Rules = .all, limit: Int = .max) {
    let canMirror = cast.writers == 2
    var steps = Steps(cast: cast, rules: rules)
    _ = insert(World().packed, parent: 0)
    var index = 0
    var endOfLevel = 1
    while index < worlds.count, worlds.count < limit {
      if index == endOfLevel {
        depth += 1
        endOfLevel = worlds.count
      }
      let world = World(worlds[index])
      steps.take(from: world)
      stepCount += steps.next.count
      if let found = steps.violation {
        fail(found, at: index, cast, rules)
        return
      }
      for (_, next) in steps.next {
        guard insert(canMirror ? next.canonical : next.packed, parent: index) else { continue }
        let found = next.violation() ?? (next.leavesGarbage(rules) ? .undeletable : nil)
        if let found {
          fail(found, at: worlds.count - 1, cast, rules)
          return
        }
      }
      index += 1
    }
    stateCount = worlds.count
  }

  /// Whether the world is new.
  private mutating func insert(_ world: PackedWorld, parent: Int) -> Bool {
    if worlds.count * 2 >= table.count { grow() }
    var slot = Exploration.slot(of: world, table.count)
    while table[slot] != 0 {
      if worlds[Int(table[slot]) - 1] == world { return false }
      slot = (slot + 1) & (table.count - 1)
    }
    worlds.append(world)
    parents.append(UInt32(parent))
    table[slot] = UInt32(worlds.count)
    return true
  }

  private static func slot(of world: PackedWorld, _ count: Int) -> Int {
    var hash = (world.low ^ (world.high &* 0x9E37_79B9_7F4A_7C15)) &* 0xBF58_476D_1CE4_E5B9
    hash ^= hash >> 31
    return Int(truncatingIfNeeded: hash &* 0x94D0_49BB_1331_11EB >> 20) & (count - 1)
  }

  private mutating func grow() {
    table = [UInt32](repeating: 0, count: table.count * 4)
    for (number, world) in worlds.enumerated() {
      var slot = Exploration.slot(of: world, table.count)
      while table[slot] != 0 { slot = (slot + 1) & (table.count - 1) }
      table[slot] = UInt32(number + 1)
    }
  }

  private mutating func fail(_ found: Violation, at last: Int, _ cast: Cast, _ rules: Rules) {
    violation = found
    stateCount = worlds.count
    var path = [last]
    while let index = path.last, index != 0 { path.append(Int(parents[index])) }
    path.reverse()
    var steps = Steps(cast: cast, rules: rules)
    for (from, to) in zip(path, path.dropFirst()) {
      steps.take(from: World(worlds[from]))
      let step = steps.next.first {
        worlds[to] == (cast.writers == 2 ? $0.world.canonical : $0.world.packed)
      }
      trace.append(step.map { "\($0.name)" } ?? "?")
    }
  }
}
