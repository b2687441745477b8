// The steps of readers, repackers, collectors, and of whoever forgets and fences.

extension Steps {
  mutating func reader(_ world: World) {
    let stage = world.reader.stage
    var after = world
    if cast.crashes, stage > Stage.idle, stage < Stage.ended {
      after.reader = World.Reader(stage: Stage.crashed)
      add("the reader crashes", after)
      after = world
    }
    let isOrderly = rules.holds(.registersBeforeReading)
    switch stage {
    case Stage.idle:
      after.reader.stage = Stage.begun
      after.reader.known = world.condemned
      add("the reader reads the newest number", after)
    case Stage.begun where isOrderly, Stage.registered where !isOrderly:
      after.notes |= Session.reader
      after.reader.stage = isOrderly ? Stage.registered : Stage.planned
      add("the reader registers", after)
    case Stage.begun, Stage.registered:
      for snapshot in Snapshots.all where world.snapshots & snapshot != 0 {
        after = world
        after.reader.wanted = world.containers(of: snapshot)
        after.reader.stage = isOrderly ? Stage.planned : Stage.registered
        add("the reader plans", after)
      }
    case Stage.planned:
      for container in Container.all where world.reader.wanted & container != 0 {
        after = world
        after.reader.wanted &= ~container
        if world.present & container == 0 {
          // One that is fenced reads the journal again and says what was forgotten.
          let isHurt = world.fenced & Session.reader == 0 && !cast.listsLie
          if isHurt { violation = .hurtReader }
          after.reader.wanted = 0
        }
        add("the reader reads", after)
      }
      if world.reader.wanted == 0 {
        after.reader = World.Reader(stage: Stage.ended)
        after.notes &= ~Session.reader
        add("the reader ends", after)
      }
    default: break
    }
  }

  mutating func repacker(_ world: World) {
    let stage = world.repacker.stage
    var after = world
    if cast.crashes, stage > Stage.idle, stage < Stage.ended {
      after.repacker.stage = Stage.crashed
      add("the repacker crashes", after)
      after = world
    }
    switch stage {
    case Stage.idle:
      after.repacker.stage = Stage.begun
      after.repacker.known = world.condemned
      add("the repacker reads the newest number", after)
    case Stage.begun:
      after.notes |= Session.repacker
      after.repacker.stage = Stage.registered
      add("the repacker registers", after)
    case Stage.registered:
      let users = world.users(of: Container.old)
      after.repacker.seen = users
      for snapshot in Snapshots.all where users & snapshot != 0 {
        after.repacker.copied |= world.chunks(of: snapshot) & (Chunk.x | Chunk.y)
      }
      let hasWork = world.live & Container.old != 0 && after.repacker.copied != 0
      after.repacker.stage = hasWork ? Stage.planned : Stage.ending
      add("the repacker marks", after)
    case Stage.planned:
      after.arriving |= Container.repacked
      if cast.repeats { after.arrivingAgain |= Container.repacked }
      after.repacker.stage = Stage.storing
      add("the repacker stores", after)
    case Stage.storing:
      guard world.present & Container.repacked != 0 else { break }
      let isSeen = world.users(of: Container.old) & ~world.repacker.seen == 0
      let isFenced = world.fenced & Session.repacker != 0
      if world.live & Container.old == 0 || (isFenced && rules.holds(.checksFence))
        || (!isSeen && rules.holds(.repacksByRecord))
      {
        after.repacker.stage = Stage.ending
        add("the repacker gives up", after)
      } else {
        after.pending |= Session.repacker
        after.repacker.stage = Stage.sent
        add("the repacker sends a record", after)
      }
    case Stage.sent:
      guard world.pending & Session.repacker == 0 else { break }
      after.repacker.stage = Stage.storing
      add("the repacker tries the next number", after)
    case Stage.ending:
      after.notes &= ~Session.repacker
      after.repacker.stage = Stage.ended
      add("the repacker ends", after)
    default: break
    }
  }

  mutating func collector(_ world: World) {
    let unneeded = world.live & ~world.neededBySnapshots
    var after = world
    switch world.collector.stage {
    case World.Collector.Stage.idle:
      let isAlone = world.notes & ~world.fenced == 0
      if unneeded != 0, isAlone || rules.holds(.listsAfterCondemning) {
        after.collector.stage = World.Collector.Stage.marked
        after.collector.chosen = unneeded
        add("the collector marks", after)
      }
      let waits = rules.holds(.sweepWaits) && !cast.listsLie
      let known = waits ? world.knownByAll : 15
      if world.condemned & known != 0 {
        after = world
        after.collector.stage = World.Collector.Stage.listed
        after.collector.chosen = world.condemned & known
        add("the collector lists sessions", after)
      }
    case World.Collector.Stage.marked:
      after.collector = World.Collector()
      add("the collector stops", after)
      let condemned =
        rules.holds(.condemnsByRecord)
        ? world.collector.chosen & unneeded : world.collector.chosen & world.live
      guard condemned != 0 else { break }
      after.land()
      after.condemn(condemned)
      if !rules.holds(.listsAfterCondemning) {
        after.collector.stage = World.Collector.Stage.listed
        after.collector.chosen = condemned
      }
      add("the collector condemns", after)
    default:
      after.collector = World.Collector()
      add("the collector stops", after)
      let swept =
        rules.holds(.sweepsByRecord)
        ? world.collector.chosen & world.condemned : world.collector.chosen
      guard swept != 0 else { break }
      after.land()
      after.sweep(swept, rules)
      add("the collector sweeps", after)
    }
  }

  mutating func forgetAndFence(_ world: World) {
    for snapshot in Snapshots.all where world.snapshots & snapshot != 0 {
      var after = world
      after.land()
      after.snapshots &= ~snapshot
      add("a snapshot is forgotten", after)
    }
    // Any session may be taken for dead, at any time: nothing but comfort hangs on it.
    let unnamed = world.present & ~world.live & ~world.condemned
    let fenceable = (world.notes | Session.owners(of: unnamed)) & ~world.fenced
    for session in Session.all where fenceable & session != 0 {
      var after = world
      after.land()
      after.fenced |= session
      add("a session is fenced", after)
    }
  }
}

extension World {
  /// The snapshots that have a container in their sets.
  fileprivate func users(of container: Bits) -> Bits {
    var users: Bits = 0
    for snapshot in Snapshots.all where snapshots & snapshot != 0 {
      if containers(of: snapshot) & container != 0 { users |= snapshot }
    }
    return users
  }
}
