import Testing

/// The style of our own sources, where the compiler and `swift format lint` have no word. A failure lists every place.
@Suite struct TidyTests {
  private static let product = ["Sources", "CSupport", "Benchmarks"]
  private static let everything = product + ["Tests"]

  /// The places of all lines that `isWrong`.
  private func places(
    in folders: [String], where isWrong: (SourceFile, SourceLine) throws -> Bool
  ) throws -> [String] {
    try SourceTree.files(in: folders).flatMap { file in
      try file.lines.filter { try isWrong(file, $0) }.map(\.place)
    }
  }

  private func expectNone(_ places: [String], sourceLocation: SourceLocation = #_sourceLocation) {
    guard !places.isEmpty else { return }
    Issue.record(
      Comment(rawValue: places.joined(separator: "\n")), sourceLocation: sourceLocation)
  }

  @Test func sourcesAreFound() throws {
    for folder in Self.everything {
      #expect(try !SourceTree.files(in: [folder]).isEmpty, "no sources in \(folder)")
    }
  }

  @Test func linesAreAtMost100Columns() throws {
    expectNone(try places(in: Self.product) { _, line in line.text.count > 100 })
  }

  @Test func filesAreAtMost400Lines() throws {
    let long = try SourceTree.files(in: Self.product).filter { $0.lines.count > 400 }
    expectNone(long.map { "\($0.path): \($0.lines.count) lines" })
  }

  @Test func nothingIsLeftForLater() throws {
    // Written apart, so that this file passes its own rule.
    let marks = ["FIX" + "ME", "TO" + "DO", "XX" + "X"]
    expectNone(
      try places(in: Self.everything) { _, line in
        line.text.split { !$0.isLetter }.contains { marks.contains(String($0)) }
      })
  }

  @Test func errorsAreThrownNotTrapped() throws {
    let trap = /\btry!|\bas!|\bfatalError\(/
    expectNone(
      try places(in: Self.product) { file, line in
        file.isSwift && line.code.contains(trap)
      })
  }

  @Test func onlyProgramsPrint() throws {
    let programs = ["Sources/muninn-cli", "Benchmarks"]
    let call = /(^|[^.\w])print\(/
    expectNone(
      try places(in: Self.product) { file, line in
        file.isSwift && !programs.contains { file.isBelow($0) } && line.code.contains(call)
      })
  }

  @Test func uncheckedSendableSaysWhy() throws {
    let files = try SourceTree.files(in: Self.everything).filter { !$0.isBelow("Tests/TidyTests") }
    var unexplained: [String] = []
    for file in files {
      for (index, line) in file.lines.enumerated() where line.code.contains("@unchecked Sendable") {
        // Attributes may stand between the comment and the declaration.
        let above = file.lines[..<index].reversed().map {
          $0.text.drop { $0 == " " }
        }.drop { $0.hasPrefix("@") }
        let comment = above.prefix { $0.hasPrefix("//") }
        let isExplained = comment.contains { !$0.hasPrefix("///") || $0.contains("Sendable") }
        if !isExplained { unexplained.append(line.place) }
      }
    }
    expectNone(unexplained)
  }

  @Test func theEngineNeedsNoFoundation() throws {
    let engine = ["MuninnFormat", "MuninnDisk", "MuninnStore", "MuninnPipeline", "Muninn"]
      .map { "Sources/" + $0 }
    let foundation = /\bimport\s+(\w+\s+)?Foundation/
    expectNone(
      try places(in: engine) { file, line in
        file.isSwift && line.code.contains(foundation)
      })
  }
}
