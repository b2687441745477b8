import ArgumentParser

/// `muninn-bench chain`: the changing tree of `generations`, for other programs to back up.
struct ChainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chain",
    abstract: "Make a tree that changes, one generation for each line of input.",
    discussion: """
      The first generation is made at once. Each is made where the one before was, with the edits \
      that `generations` makes from the same seed, and its number is printed when it is there. The \
      tree stays.
      """)

  @Argument(help: "A directory that is absent or empty.")
  var directory: String

  @OptionGroup var generated: GeneratedOptions

  @Option(help: ArgumentHelp("Share of the files that a generation edits.", valueName: "0-1"))
  var edited = 0.03

  func validate() throws {
    guard (0...1).contains(edited) else { throw ValidationError("--edited is 0 to 1") }
  }

  func run() throws {
    let source = try EditedTree(
      try Scratch.absolute(directory), tree: generated.tree, edited: edited,
      seed: generated.seed)
    var generation = 0
    repeat {
      try source.advance()
      generation += 1
      Report.print(String(generation))
    } while readLine() != nil
  }
}
