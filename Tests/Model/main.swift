// Explores the larger worlds of the commit protocol's model: `main [whole]`, compiled with
// optimisation by Tests/model.sh. Ends with 1 where a violation is found.
import Glibc

var casts: [Cast] = [
  Cast(writers: 2, adopts: true),
  Cast(writers: 2, savesPartially: true, repeats: false),
  Cast(writers: 2, adopts: true, repeats: false, listsLie: true),
  Cast(writers: 1, hasReader: true, adopts: true, savesPartially: true),
  Cast(writers: 1, hasReader: true, hasRepacker: true, repeats: false),
]
if CommandLine.arguments.contains("whole") {
  casts += [
    Cast(writers: 1, hasReader: true, hasRepacker: true),
    Cast(writers: 2, hasReader: true, repeats: false),
    Cast(writers: 2, hasReader: true, adopts: true),
  ]
}

var states = 0
for cast in casts {
  let exploration = Exploration(cast)
  states += exploration.stateCount
  if let violation = exploration.violation {
    print("\(violation.rawValue): \(cast)")
    for step in exploration.trace { print("  \(step)") }
    exit(1)
  }
  let counts = "\(exploration.stateCount) states, \(exploration.stepCount) steps"
  print("\(counts), depth \(exploration.depth), no violation: \(cast)")
}
print("\(casts.count) worlds, \(states) states, no violation")
