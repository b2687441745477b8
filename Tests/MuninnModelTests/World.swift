/// Small sets of containers, sessions or snapshots, one bit each.
typealias Bits = UInt8

/// The containers of the model.
enum Container {
  /// Committed before the model begins, with chunks x and y.
  static let old: Bits = 1
  /// What writer A and writer B store, one chunk each.
  static let own: (Bits, Bits) = (2, 4)
  /// What the repacker copies out of the old one.
  static let repacked: Bits = 8
  static let all: [Bits] = [1, 2, 4, 8]
}

/// The sessions of the model. The founder wrote the old container and ended.
enum Session {
  static let writers: (Bits, Bits) = (1, 2)
  static let reader: Bits = 4
  static let repacker: Bits = 8
  static let founder: Bits = 16
  static let all: [Bits] = [1, 2, 4, 8, 16]

  static func owner(of container: Bits) -> Bits {
    switch container {
    case Container.old: founder
    case Container.own.0: writers.0
    case Container.own.1: writers.1
    default: repacker
    }
  }

  static func owners(of containers: Bits) -> Bits {
    var owners: Bits = 0
    for container in Container.all where containers & container != 0 {
      owners |= owner(of: container)
    }
    return owners
  }
}

enum Snapshots {
  /// Committed before the model begins; needs chunk x.
  static let first: Bits = 1
  static let final: (Bits, Bits) = (2, 4)
  static let partial: (Bits, Bits) = (8, 16)
  static let all: [Bits] = [1, 2, 4, 8, 16]
}

enum Chunk {
  static let x: Bits = 1
  static let y: Bits = 2
  static let own: (Bits, Bits) = (4, 8)
}

/// What a writer takes from a container that is there already.
enum Item {
  static let nothing: UInt8 = 0
  static let x: UInt8 = 1
  static let y: UInt8 = 2
  static let xRepacked: UInt8 = 3
  static let otherWriters: UInt8 = 4
}

/// How far an agent has come.
enum Stage {
  static let idle: UInt8 = 0
  static let begun: UInt8 = 1
  static let registered: UInt8 = 2
  static let planned: UInt8 = 3
  static let storing: UInt8 = 4
  /// Its partial snapshot's record is sent, and the answer not read.
  static let sentPartial: UInt8 = 5
  static let committedPartial: UInt8 = 6
  static let sent: UInt8 = 7
  static let ending: UInt8 = 8
  static let ended: UInt8 = 9
  static let crashed: UInt8 = 10
  /// Crashed while the record of its partial snapshot was under way.
  static let crashedWithPartial: UInt8 = 11

  static func isOver(_ stage: UInt8) -> Bool { stage == idle || stage >= ended }
}

/// One state of everything: what the journal adds up to, what lies in the storage, what is under
/// way in the network, and how far each agent has come.
///
/// The journal's records need no numbers here. A record is put under the number after the one that
/// its writer read, so that it lands while no other did, or never: `pending` holds the sessions
/// whose record is under way, and every record that lands clears it.
struct World {
  // The journal.
  var live: Bits = Container.old
  var condemned: Bits = 0
  var swept: Bits = 0
  var fenced: Bits = 0
  var snapshots: Bits = Snapshots.first
  /// The snapshots that mean the repacked container where they name the old one.
  var repackedFor: Bits = 0
  // The storage.
  var present: Bits = Container.old
  var notes: Bits = 0
  // The network: puts that will arrive, a second time too, and deletions.
  var arriving: Bits = 0
  var arrivingAgain: Bits = 0
  var noteAgain: Bits = 0
  var deleting: Bits = 0
  var pending: Bits = 0
  // The agents.
  var writers: (Writer, Writer) = (Writer(), Writer())
  var reader = Reader()
  var repacker = Repacker()
  var collector = Collector()

  struct Writer {
    var stage = Stage.idle
    var item = Item.nothing
    var hasAdopted = false
    /// The containers whose condemnation its note says that it knows.
    var known: Bits = 0
  }

  struct Reader {
    var stage = Stage.idle
    var wanted: Bits = 0
    var known: Bits = 0
  }

  struct Repacker {
    var stage = Stage.idle
    var copied: Bits = 0
    var seen: Bits = 0
    var known: Bits = 0
  }

  struct Collector {
    enum Stage { static let (idle, marked, listed): (UInt8, UInt8, UInt8) = (0, 1, 2) }
    var stage = Stage.idle
    var chosen: Bits = 0
  }
}

/// A world in 128 bits.
struct PackedWorld: Hashable {
  var low: UInt64
  var high: UInt64

  static func < (left: PackedWorld, right: PackedWorld) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }
}

extension World {
  var packed: PackedWorld {
    var low = UInt64(live) | UInt64(condemned) << 4 | UInt64(swept) << 8 | UInt64(present) << 12
    low |= UInt64(arriving) << 16 | UInt64(arrivingAgain) << 20 | UInt64(deleting) << 24
    low |= UInt64(notes) << 28 | UInt64(noteAgain) << 32 | UInt64(pending) << 36
    low |= UInt64(fenced) << 40 | UInt64(snapshots) << 45
    low |= UInt64(writers.0.stage) << 50 | UInt64(writers.1.stage) << 54
    low |= UInt64(collector.chosen) << 58 | UInt64(collector.stage) << 62
    var high = UInt64(writers.0.item) | UInt64(writers.1.item) << 3
    high |= UInt64(writers.0.known) << 6 | UInt64(writers.1.known) << 10
    high |= UInt64(writers.0.hasAdopted ? 1 : 0) << 14 | UInt64(writers.1.hasAdopted ? 1 : 0) << 15
    high |= UInt64(reader.stage) << 16 | UInt64(reader.wanted) << 20 | UInt64(reader.known) << 24
    high |= UInt64(repacker.stage) << 28 | UInt64(repacker.copied) << 32
    high |= UInt64(repacker.seen) << 34 | UInt64(repacker.known) << 39
    high |= UInt64(repackedFor) << 43
    return PackedWorld(low: low, high: high)
  }

  init(_ packed: PackedWorld) {
    func low(_ shift: UInt64, _ mask: UInt64 = 15) -> UInt8 { UInt8(packed.low >> shift & mask) }
    func high(_ shift: UInt64, _ mask: UInt64 = 15) -> UInt8 {
      UInt8(packed.high >> shift & mask)
    }
    (live, condemned, swept, present) = (low(0), low(4), low(8), low(12))
    (arriving, arrivingAgain, deleting) = (low(16), low(20), low(24))
    (notes, noteAgain, pending) = (low(28), low(32), low(36))
    (fenced, snapshots) = (low(40, 31), low(45, 31))
    (writers.0.stage, writers.1.stage) = (low(50), low(54))
    (collector.chosen, collector.stage) = (low(58), low(62, 3))
    (writers.0.item, writers.1.item) = (high(0, 7), high(3, 7))
    (writers.0.known, writers.1.known) = (high(6), high(10))
    (writers.0.hasAdopted, writers.1.hasAdopted) = (high(14, 1) == 1, high(15, 1) == 1)
    (reader.stage, reader.wanted, reader.known) = (high(16), high(20), high(24))
    (repacker.stage, repacker.copied) = (high(28), high(32, 3))
    (repacker.seen, repacker.known) = (high(34, 31), high(39))
    repackedFor = high(43, 31)
  }

  /// The same world with the two writers exchanged, which is no other world.
  var mirrored: World {
    func containers(_ bits: Bits) -> Bits { bits & 9 | (bits & 2) << 1 | (bits & 4) >> 1 }
    func sessions(_ bits: Bits) -> Bits { bits & 28 | (bits & 1) << 1 | (bits & 2) >> 1 }
    func snapshots(_ bits: Bits) -> Bits { bits & 1 | (bits & 10) << 1 | (bits & 20) >> 1 }
    var world = self
    world.live = containers(live)
    world.condemned = containers(condemned)
    world.swept = containers(swept)
    world.present = containers(present)
    world.arriving = containers(arriving)
    world.arrivingAgain = containers(arrivingAgain)
    world.deleting = containers(deleting)
    world.collector.chosen = containers(collector.chosen)
    world.notes = sessions(notes)
    world.noteAgain = sessions(noteAgain)
    world.pending = sessions(pending)
    world.fenced = sessions(fenced)
    world.snapshots = snapshots(self.snapshots)
    world.repackedFor = snapshots(repackedFor)
    world.writers = (writers.1, writers.0)
    world.writers.0.known = containers(writers.1.known)
    world.writers.1.known = containers(writers.0.known)
    world.reader.wanted = containers(reader.wanted)
    world.reader.known = containers(reader.known)
    world.repacker.seen = snapshots(repacker.seen)
    world.repacker.known = containers(repacker.known)
    return world
  }

  /// One world for each pair that mirrors itself.
  var canonical: PackedWorld {
    let (one, other) = (packed, mirrored.packed)
    return other < one ? other : one
  }
}
