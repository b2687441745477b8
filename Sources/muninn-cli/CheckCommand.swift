import ArgumentParser
import Glibc
import Muninn

struct CheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Verify a repository: its structure, or its data too.",
    discussion: ExitStatus.discussion)

  @OptionGroup var target: RepositoryArgument
  @Argument(
    help: "With --read-data, how much of the data is read, drawn at random: 5% for instance.")
  var share: Percentage?
  @Flag(help: "Read and verify every byte, not only the structure.")
  var readData = false
  @Option(
    help: """
      Read containers until this is used up, those first that were read longest ago: 30s, 10m, 2h, \
      or 5GiB.
      """)
  var budget: Budget?
  @Flag(help: "Begin anew where an earlier reading was interrupted, instead of going on.")
  var startOver = false
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var report: ReportOptions

  func validate() throws {
    if share != nil, !readData { throw ValidationError("a share needs --read-data before it") }
    if budget != nil, readData {
      throw ValidationError("--budget and --read-data cannot be had together")
    }
  }

  func run() async throws {
    let line = ProgressLine()
    defer { line.end() }
    var options = CheckOptions(readData: readData)
    options.fraction = share?.fraction ?? 1
    options.startsOver = startOver
    options.threads = threads.threads
    switch budget {
    case .seconds(let seconds): options.budgetSeconds = seconds
    case .bytes(let bytes): options.budgetBytes = bytes
    case nil: break
    }
    let result = try await Interruption.cancelling { [target, options] in
      let repository = try await target.open()
      return try await repository.check(options, progress: line.handler)
    }
    line.end()
    if report.isJSON { try JSONOutput.print(result) } else { summarise(result) }
    guard !result.isClean else { return }
    for problem in result.problems {
      Terminal.complain("\(Terminal.safe(problem.path)): \(Terminal.safe(problem.message))")
    }
    Terminal.complain("\(Quantity.count(UInt64(result.problems.count))) problems found")
    throw ExitStatus.damaged
  }

  private func summarise(_ result: CheckReport) {
    Terminal.print(
      "checked  \(Quantity.count(result.snapshots)) snapshots,"
        + " \(Quantity.count(result.containers)) containers,"
        + " \(Quantity.count(result.chunks)) chunks, read \(Quantity.size(result.bytesRead))"
        + " in \(Quantity.elapsed(result.seconds))"
        + (result.isResumed ? ", after an interrupted run" : ""))
    if readData || budget != nil {
      let share =
        result.containerBytes > 0
        ? Double(result.verifiedBytes) / Double(result.containerBytes) * 100 : 100
      let oldest =
        result.oldestVerification.map {
          "the oldest reading is of \(Quantity.localTime($0)),"
            + " \(age(of: $0)) ago"
        } ?? "some was never read"
      Terminal.print("verified \(Int(share)) % of all bytes; \(oldest)")
    }
    for loss in result.knownLosses {
      Terminal.print(
        "known    snapshot \(loss.snapshot.prefix(8)): \(Terminal.safe(loss.path)): "
          + Terminal.safe(loss.message))
    }
    if result.isClean { Terminal.print("no problems found") }
  }

  private func age(of seconds: Double) -> String {
    let passed = max(0, Double(Glibc.time(nil)) - seconds)
    return passed >= 172_800 ? "\(Int(passed / 86_400)) days" : Quantity.duration(passed)
  }
}

/// `5%`, `0.1%`, or a bare number of per cent.
struct Percentage: ExpressibleByArgument {
  let fraction: Double

  init?(argument: String) {
    let digits = argument.hasSuffix("%") ? argument.dropLast() : argument[...]
    guard let number = Double(digits), number > 0, number <= 100 else { return nil }
    fraction = number / 100
  }
}

/// Time (`90s`, `10m`, `2h`) or bytes (`500MiB`, `5GiB`, `1T`).
enum Budget: ExpressibleByArgument {
  case seconds(Double)
  case bytes(UInt64)

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), number > 0, number < 1e15 else { return nil }
    let unit = argument.dropFirst(digits.count)
    let seconds = ["s": 1.0, "m": 60, "min": 60, "h": 3600, "d": 86_400]
    if let factor = seconds[String(unit)] {
      self = .seconds(number * factor)
      return
    }
    let shifts = ["kib": 10, "mib": 20, "gib": 30, "tib": 40, "k": 10, "g": 30, "t": 40]
    guard let shift = shifts[unit.lowercased()] else { return nil }
    let bytes = number * Double(UInt64(1) << UInt64(shift))
    guard bytes < 1e18 else { return nil }
    self = .bytes(UInt64(bytes))
  }
}
