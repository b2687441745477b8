import MuninnTestSupport
import Testing

/// The commit protocol, explored: every state of small worlds, whatever crashes, comes late or
/// comes twice. `Tests/model.sh` explores the larger ones, compiled for speed.
@Suite("The model of the commit protocol")
struct ModelTests {
  static let small: [Cast] = [
    Cast(writers: 1, hasReader: true),
    Cast(writers: 1, hasReader: true, adopts: true, savesPartially: true, repeats: false),
    Cast(writers: 1, adopts: true, savesPartially: true, listsLie: true),
    Cast(writers: 2, crashes: false, repeats: false),
  ]

  @Test(
    "No snapshot ever lacks a container, nothing live is deleted, nothing dead stays",
    arguments: small)
  func holds(_ cast: Cast) {
    let exploration = Exploration(cast)
    #expect(
      exploration.violation == nil,
      "\(exploration.violation?.rawValue ?? ""):\n\(exploration.trace.joined(separator: "\n"))")
    // What was explored is a world of some size: a model in which nothing happens has no faults.
    #expect(exploration.stateCount > 5_000)
    report(exploration, cast)
  }

  /// The worlds in which the want of a rule shows, the smallest first.
  private static let revealing: [Cast] = [
    Cast(writers: 1, hasReader: true, adopts: true, repeats: false),
    Cast(writers: 1, listsLie: true),
    Cast(writers: 1, hasRepacker: true, repeats: false),
  ]

  @Test("Without any one of its rules the protocol fails", arguments: Rule.allCases)
  func everyRuleIsNeeded(_ rule: Rule) {
    for cast in ModelTests.revealing {
      let exploration = Exploration(cast, .without(rule), limit: 300_000)
      guard let violation = exploration.violation else { continue }
      // The same steps are possible with the rule, or forbidden by it; they never lead there.
      #expect(!exploration.trace.isEmpty)
      say("without \(rule): \(violation.rawValue), after \(exploration.trace.count) steps")
      return
    }
    Issue.record("without \(rule) nothing fails: the rule or the model is wrong")
  }

  @Test("A world survives being packed and mirrored twice")
  func packing() {
    let cast = Cast(writers: 2, hasReader: true, hasRepacker: true, adopts: true)
    var steps = Steps(cast: cast, rules: .all)
    var generator = SeededGenerator.printed()
    for _ in 0..<50 {
      var world = World()
      for _ in 0..<60 {
        #expect(World(world.packed).packed == world.packed)
        #expect(world.mirrored.mirrored.packed == world.packed)
        #expect(world.mirrored.canonical == world.canonical)
        steps.take(from: world)
        guard let next = steps.next.randomElement(using: &generator) else { break }
        world = next.world
      }
    }
  }

  private func report(_ exploration: Exploration, _ cast: Cast) {
    let counts = "\(exploration.stateCount) states, \(exploration.stepCount) steps"
    say("\(counts), depth \(exploration.depth), no violation: \(cast)")
  }

  private func say(_ line: String) { print("model: \(line)") }
}
