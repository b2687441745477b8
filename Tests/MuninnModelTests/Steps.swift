/// Which agents a world has, and what may befall them.
struct Cast: Sendable, CustomStringConvertible {
  var writers = 2
  var hasReader = false
  var hasRepacker = false
  var adopts = false
  var savesPartially = false
  var crashes = true
  /// Puts may arrive a second time, after all else.
  var repeats = true
  /// Lists of sessions show none, so that no sweep waits for any.
  var listsLie = false

  var description: String {
    var parts = [writers == 1 ? "1 writer" : "2 writers", "1 collector"]
    if hasReader { parts.append("1 reader") }
    if hasRepacker { parts.append("repacking") }
    if adopts { parts.append("adoption") }
    if savesPartially { parts.append("partial snapshots") }
    if crashes { parts.append("crashes") }
    parts.append(repeats ? "delayed and repeated puts" : "delayed puts")
    if listsLie { parts.append("lists of sessions that lie") }
    return parts.joined(separator: ", ")
  }
}

/// Every step that can follow in one world.
struct Steps {
  let cast: Cast
  let rules: Rules
  private(set) var next: [(name: StaticString, world: World)] = []
  var violation: Violation?

  init(cast: Cast, rules: Rules) {
    self.cast = cast
    self.rules = rules
  }

  mutating func take(from world: World) {
    next.removeAll(keepingCapacity: true)
    violation = nil
    network(world)
    writer(world, Session.writers.0, world.writers.0)
    if cast.writers == 2 { writer(world, Session.writers.1, world.writers.1) }
    if cast.hasReader { reader(world) }
    if cast.hasRepacker { repacker(world) }
    collector(world)
    forgetAndFence(world)
  }

  mutating func add(_ name: StaticString, _ world: World) { next.append((name, world)) }

  private mutating func add(
    _ name: StaticString, _ world: World, _ writer: Bits, _ change: (inout World.Writer) -> Void
  ) {
    var world = world
    if writer == Session.writers.0 { change(&world.writers.0) } else { change(&world.writers.1) }
    add(name, world)
  }

  // MARK: Network

  private mutating func network(_ world: World) {
    for container in Container.all {
      if world.arriving & container != 0 {
        var after = world
        after.arriving &= ~container
        after.present |= container
        add("a container arrives", after)
      } else if world.arrivingAgain & container & ~world.present != 0 {
        var after = world
        after.arrivingAgain &= ~container
        after.present |= container
        add("a container arrives again", after)
      }
      if world.deleting & container != 0 {
        var after = world
        after.deleting &= ~container
        after.present &= ~container
        add("a container is gone", after)
      } else if world.deletable(rules) & world.present & container != 0 {
        var after = world
        after.deleting |= container
        add("a deletion is sent", after)
      }
    }
    for session in Session.all where world.noteAgain & session & ~world.notes != 0 {
      var after = world
      after.noteAgain &= ~session
      after.notes |= session
      add("a session's note arrives again", after)
    }
    landing(world, Session.writers.0, world.writers.0.stage)
    landing(world, Session.writers.1, world.writers.1.stage)
    if world.pending & Session.repacker != 0 { landRepacking(world) }
  }

  /// A writer's record lands, whether the writer still waits for it or crashed.
  private mutating func landing(_ world: World, _ writer: Bits, _ stage: UInt8) {
    guard world.pending & writer != 0 else { return }
    var after = world
    let (own, final, partial) =
      writer == Session.writers.0
      ? (Container.own.0, Snapshots.final.0, Snapshots.partial.0)
      : (Container.own.1, Snapshots.final.1, Snapshots.partial.1)
    let needed = world.needed(by: writer)
    after.land()
    if rules.holds(.rescues), rules.holds(.revalidates) {
      after.rescue(needed & world.condemned, rules)
    }
    after.live |= own & ~after.condemned
    // The first record of a writer that saves partially is the partial snapshot's.
    let isPartial = cast.savesPartially && world.sentIsPartial(writer)
    after.snapshots |= isPartial ? partial : final
    if !isPartial { after.snapshots &= ~partial }
    add("a writer's record lands", after, writer) { state in
      if state.stage == Stage.sentPartial { state.stage = Stage.committedPartial }
      if state.stage == Stage.sent { state.stage = Stage.ending }
    }
  }

  private mutating func landRepacking(_ world: World) {
    var after = world
    after.land()
    after.live |= Container.repacked
    after.condemn(Container.old)
    after.repackedFor = rules.holds(.repackingLooksBack) ? world.snapshots : 31
    if after.repacker.stage == Stage.sent { after.repacker.stage = Stage.ending }
    add("a repacking lands", after)
  }

  // MARK: Writers

  private mutating func writer(_ world: World, _ session: Bits, _ state: World.Writer) {
    if cast.crashes, state.stage > Stage.idle, state.stage < Stage.ended {
      add("a writer crashes", world, session) { $0.crash() }
    }
    switch state.stage {
    case Stage.idle:
      add("a writer reads the newest number", world, session) {
        $0.stage = Stage.begun
        $0.known = world.condemned
      }
    case Stage.begun:
      if rules.holds(.registersBeforeReading) {
        register(world, session, Stage.registered)
      } else {
        plan(world, session, Stage.registered)
      }
    case Stage.registered:
      if rules.holds(.registersBeforeReading) {
        plan(world, session, Stage.planned)
        if cast.adopts, !state.hasAdopted { adopt(world, session) }
      } else {
        register(world, session, Stage.planned)
      }
    case Stage.planned:
      var after = world
      let own = session == Session.writers.0 ? Container.own.0 : Container.own.1
      after.arriving |= own
      if cast.repeats { after.arrivingAgain |= own }
      add("a writer stores", after, session) { $0.stage = Stage.storing }
      add("a writer gives up", world, session) { $0.stage = Stage.ending }
    case Stage.storing:
      add("a writer gives up", world, session) { $0.stage = Stage.ending }
      prepare(world, session, cast.savesPartially ? Stage.sentPartial : Stage.sent)
    case Stage.committedPartial:
      add("a writer gives up behind its partial snapshot", world, session) {
        $0.stage = Stage.ending
      }
      prepare(world, session, Stage.sent)
    case Stage.sentPartial, Stage.sent:
      wait(world, session, state.stage)
    case Stage.ending:
      var after = world
      after.notes &= ~session
      add("a writer ends", after, session) { $0.stage = Stage.ended }
    default: break
    }
  }

  private mutating func register(_ world: World, _ session: Bits, _ stage: UInt8) {
    var after = world
    after.notes |= session
    if cast.repeats { after.noteAgain |= session }
    add("a writer registers", after, session) { $0.stage = stage }
  }

  /// Reads the journal and takes what it will not store again.
  private mutating func plan(_ world: World, _ session: Bits, _ stage: UInt8) {
    let usable = rules.holds(.avoidsCondemned) ? world.live : world.live | world.condemned
    for item in Item.nothing...Item.otherWriters {
      let containers = world.itemContainers(item, of: session)
      guard containers & ~usable == 0 else { continue }
      if item == Item.xRepacked, world.repacker.copied & Chunk.x == 0 { continue }
      add("a writer plans", world, session) {
        $0.stage = stage
        $0.item = item
      }
    }
  }

  /// Fences a session and takes one of its containers, in one record.
  private mutating func adopt(_ world: World, _ session: Bits) {
    guard world.fenced & session == 0 else { return }
    for container in Container.all {
      let owner = Session.owner(of: container)
      let isFenced = world.fenced & owner != 0
      guard owner != session, world.present & container != 0,
        (world.live | world.condemned) & container == 0, isFenced != rules.holds(.adoptsWithFence)
      else { continue }
      var after = world
      after.land()
      after.fenced |= owner
      after.live |= container
      after.swept &= ~container
      add("a writer adopts", after, session) { $0.hasAdopted = true }
    }
  }

  /// Reads the journal to its end and sends a record for the number after it.
  private mutating func prepare(_ world: World, _ session: Bits, _ stage: UInt8) {
    let own = session == Session.writers.0 ? Container.own.0 : Container.own.1
    let isStored = world.present & own != 0
    let isNamed = (world.live | world.condemned | world.swept) & own != 0
    if rules.holds(.storesBeforeCommitting), !isStored, !isNamed { return }
    let isFenced = world.fenced & session != 0
    if isFenced, rules.holds(.checksFence) {
      add("a writer finds itself fenced", world, session) { $0.stage = Stage.ending }
      return
    }
    var lost = world.needed(by: session) & ~world.live & ~world.condemned
    if !isNamed { lost &= ~own }
    if rules.holds(.revalidates), lost != 0 {
      if !isFenced, !cast.listsLie { violation = .hurtWriter }
      add("a writer finds a hole", world, session) { $0.stage = Stage.ending }
      return
    }
    var after = world
    after.pending |= session
    add("a writer sends a record", after, session) { $0.stage = stage }
  }

  /// The answer is unclear until the number is read: only another's record there ends the wait.
  private mutating func wait(_ world: World, _ session: Bits, _ stage: UInt8) {
    if world.pending & session == 0 {
      let isFinal = stage == Stage.sent && cast.savesPartially
      add("a writer tries the next number", world, session) {
        $0.stage = isFinal ? Stage.committedPartial : Stage.storing
      }
    } else if !rules.holds(.settles) {
      var after = world
      after.deleting |= session == Session.writers.0 ? Container.own.0 : Container.own.1
      add("a writer gives up after an unclear answer", after, session) {
        $0.stage = Stage.ending
      }
    }
  }
}

extension World {
  /// Whether the record that a writer sent is its partial snapshot's. The final one follows only
  /// on a partial one that was committed.
  fileprivate func sentIsPartial(_ writer: Bits) -> Bool {
    (writer == Session.writers.0 ? writers.0 : writers.1).sentPartial
  }
}

extension World.Writer {
  /// A crash keeps what its record, if one is under way, would say.
  fileprivate mutating func crash() {
    stage = stage == Stage.sentPartial ? Stage.crashedWithPartial : Stage.crashed
  }

  fileprivate var sentPartial: Bool {
    stage == Stage.sentPartial || stage == Stage.crashedWithPartial
  }
}
