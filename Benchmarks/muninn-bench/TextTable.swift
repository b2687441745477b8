/// Rows under a heading, in columns as wide as their widest cell: Markdown, so that a report can be
/// pasted.
struct TextTable {
  private let titles: [String]
  private var rows: [[String]] = []

  init(_ titles: [String]) { self.titles = titles }

  mutating func add(_ cells: [String]) { rows.append(cells) }

  var text: String {
    let all = [titles] + rows
    let widths = titles.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    var lines = all.map { row in
      "| "
        + row.enumerated().map { column, cell in
          let space = String(repeating: " ", count: widths[column] - cell.count)
          return column == 0 ? cell + space : space + cell
        }.joined(separator: " | ") + " |"
    }
    let rule = widths.enumerated().map { column, width in
      String(repeating: "-", count: width + 1) + (column == 0 ? "-" : ":")
    }
    lines.insert("|" + rule.joined(separator: "|") + "|", at: 1)
    return lines.joined(separator: "\n")
  }
}
