import MuninnDisk
import MuninnFormat
import MuninnTestSupport
import Testing

/// Each operation is broken at every call that it makes of its storage, in every way. Then the
/// repository is opened and checked, every committed snapshot is restored and compared, and now and
/// then the operation runs again.
///
/// `MUNINN_SWEEP=OPERATION,CALL,FAULT,SEED` runs one case again: failures print that line.
/// `MUNINN_SWEEP=OPERATION` tries all cases of one operation.
/// `MUNINN_SWEEP_EVERY=N` tries each N-th case of all; without it so many that there are a few dozen
/// of each operation. `MUNINN_TORTURE_SECONDS=N` tries any cases for that long.
@Suite struct SweepTests {
  /// One case, as its line names it.
  private struct Case: CustomStringConvertible {
    let operation: SweptOperation
    let call: Int
    let fault: SweepFault
    let seed: UInt64

    var description: String { "\(operation.name),\(call),\(fault),\(seed)" }

    init(_ operation: SweptOperation, _ call: Int, _ fault: SweepFault, _ seed: UInt64) {
      self.operation = operation
      self.call = call
      self.fault = fault
      self.seed = seed
    }

    init?(line: String) {
      let parts = line.split(separator: ",").map(String.init)
      guard parts.count == 4, let call = Int(parts[1]), let seed = UInt64(parts[3]),
        let operation = SweptOperation.all.first(where: { $0.name == parts[0] }),
        let fault = SweepFault.all.first(where: { "\($0)" == parts[2] })
      else { return nil }
      self.init(operation, call, fault, seed)
    }

    /// Runs it; throws what was lost.
    func run(in scene: SweepScene) throws {
      let storage = MemoryStorage(copyOf: scene.base)
      fault.arm(storage, at: call)
      var reported: SnapshotRecord?
      var isDone = false
      do {
        reported = try operation.run(scene, storage)
        isDone = true
      } catch let loss as SweepScene.Loss {
        throw loss
      } catch {
        // What it says of the fault is another test's matter.
      }
      fault.settle(storage, seed: seed)
      try scene.verify(
        storage, after: operation, reported: reported, end: isDone ? .done : .failed)
      // What was left behind is in nobody's way.
      guard seed % 4 == 0, !(operation.makesRepository && isDone) else { return }
      if operation.makesRepository,
        (try? scene.verify(
          storage, after: operation, reported: nil, end: .done)) != nil
      {
        return
      }
      let again = try operation.run(scene, storage)
      try scene.verify(storage, after: operation, reported: again, end: .again)
    }
  }

  /// How many cases of an operation are tried where nothing is said.
  private static let sampleCount = 40

  private struct Tally {
    var calls = 0
    var crashes = 0
    var errors = 0
    var losses = 0

    mutating func count(_ fault: SweepFault) {
      if fault.isCrash { crashes += 1 } else { errors += 1 }
    }

    func text(_ name: String) -> String {
      "\(name): \(calls) calls, \(crashes) crashes, \(errors) other faults, \(losses) losses"
    }
  }

  /// The scene that an operation starts from, and the calls of a run without faults.
  private func prepare(
    _ operation: SweptOperation, seed: UInt64
  ) throws -> (scene: SweepScene, calls: [MemoryStorage.Call]) {
    let scene = try SweepScene(seed: seed)
    try operation.prepare(scene)
    try scene.look()
    let storage = MemoryStorage(copyOf: scene.base)
    let reported = try operation.run(scene, storage)
    let calls = storage.calls
    try scene.verify(storage, after: operation, reported: reported, end: .clean)
    return (scene, calls)
  }

  private func attempt(_ one: Case, in scene: SweepScene, _ tally: inout Tally) {
    tally.count(one.fault)
    do {
      try one.run(in: scene)
    } catch {
      tally.losses += 1
      Issue.record("MUNINN_SWEEP=\(one) swift test --filter SweepTests: \(error)")
    }
  }

  @Test(arguments: SweptOperation.all) func everyCall(operation: SweptOperation) throws {
    let wanted = environmentVariable("MUNINN_SWEEP")
    if let line = wanted, line.contains(",") {
      let one = try #require(Case(line: line), "MUNINN_SWEEP is '\(line)'")
      guard one.operation.name == operation.name else { return }
      var tally = Tally()
      attempt(one, in: try prepare(operation, seed: one.seed >> 32).scene, &tally)
      return
    }
    guard environmentVariable("MUNINN_TORTURE_SECONDS") == nil,
      wanted.map({ $0 == operation.name }) ?? true
    else { return }
    var generator = SeededGenerator.printed()
    // The upper half of a case's seed is the scene's, so that its line says all.
    let scenery = generator.next() >> 32
    let (scene, calls) = try prepare(operation, seed: scenery)
    var tally = Tally()
    tally.calls = calls.count
    let caseCount = calls.reduce(0) { $0 + SweepFault.worthTrying(at: $1.operation).count }
    let every =
      environmentVariable("MUNINN_SWEEP_EVERY").flatMap { Int($0) }.map { max($0, 1) }
      ?? (wanted == nil ? max(1, caseCount / SweepTests.sampleCount) : 1)
    var number = Int(generator.next() % UInt64(every))
    for (call, made) in calls.enumerated() {
      for fault in SweepFault.worthTrying(at: made.operation) {
        number += 1
        guard number % every == 0 else { continue }
        let seed = scenery << 32 | generator.next() >> 32
        attempt(Case(operation, call, fault, seed), in: scene, &tally)
      }
    }
    print("sweep: \(tally.text(operation.name))")
    #expect(tally.crashes > 0)
  }

  /// Any operation, any call, any fault, as long as there is time.
  @Test func torture() throws {
    guard let text = environmentVariable("MUNINN_TORTURE_SECONDS"), let seconds = UInt64(text)
    else { return }
    var generator = SeededGenerator.printed()
    let end = Machine.monotonicNanoseconds() + seconds * 1_000_000_000
    var tallies = [Tally](repeating: Tally(), count: SweptOperation.all.count)
    while Machine.monotonicNanoseconds() < end {
      for (number, operation) in SweptOperation.all.enumerated() {
        let scenery = generator.next() >> 32
        let (scene, calls) = try prepare(operation, seed: scenery)
        tallies[number].calls += calls.count
        for _ in 0..<30 where Machine.monotonicNanoseconds() < end {
          let call = Int(generator.next() % UInt64(calls.count))
          let fault = SweepFault.all[Int(generator.next() % UInt64(SweepFault.all.count))]
          let seed = scenery << 32 | generator.next() >> 32
          attempt(Case(operation, call, fault, seed), in: scene, &tallies[number])
        }
      }
    }
    for (operation, tally) in zip(SweptOperation.all, tallies) {
      print("torture: \(tally.text(operation.name))")
    }
    let points = tallies.reduce(0) { $0 + $1.crashes }
    print("torture: \(points) crash points, \(tallies.reduce(0) { $0 + $1.losses }) losses")
  }
}
