/// Which file opens which repository: by the file system whose backups it holds, or by the location
/// where it lies.
package struct RepositoryCredentials: Sendable, Equatable {
  package enum Source: Sendable, Equatable {
    case passphraseFile(String)
    case keyFile(String)
  }

  private var locations: [String: Source] = [:]
  /// By the key of the file system's name.
  private var fileSystems: [String: Source] = [:]

  package init() {}

  /// Each of the settings is `LOCATION=FILE` or `NAME=FILE`.
  init(_ settings: ServerSettings, absolute: (String) -> String) throws(Refusal) {
    let passphrase = Source.passphraseFile
    let key = Source.keyFile
    for (name, texts, make) in [
      ("passphrase-file", settings.passphraseFile, passphrase), ("key-file", settings.keyFile, key),
    ] {
      for (text, file) in try Self.pairs(name, "LOCATION", texts ?? []) {
        let location = absolute(text)
        guard locations.updateValue(make(absolute(file)), forKey: location) == nil else {
          throw Refusal(.badRequest, "The location '\(location)' has more than one credential.")
        }
      }
    }
    for (name, texts, make) in [
      ("fs-passphrase-file", settings.fileSystemPassphraseFile, passphrase),
      ("fs-key-file", settings.fileSystemKeyFile, key),
    ] {
      for (text, file) in try Self.pairs(name, "NAME", texts ?? []) {
        try FileSystemRecord.check(name: text)
        let source = make(absolute(file))
        guard fileSystems.updateValue(source, forKey: FileSystemRecord.key(text)) == nil else {
          throw Refusal(.badRequest, "The file system '\(text)' has more than one credential.")
        }
      }
    }
  }

  private static func pairs(
    _ name: String, _ what: String, _ texts: [String]
  ) throws(Refusal) -> [(String, String)] {
    var pairs: [(String, String)] = []
    for text in texts {
      // A location may have an equals sign in it, a file's name is ours to choose.
      guard let sign = text.lastIndex(of: "="), sign != text.startIndex else {
        throw Refusal(.badRequest, "\(name) must be \(what)=FILE, not '\(text)'.")
      }
      pairs.append((String(text[..<sign]), String(text[text.index(after: sign)...])))
    }
    return pairs
  }

  /// The same, and every location under the name that it has with all links followed as well.
  func withLinksFollowed() -> RepositoryCredentials {
    var all = self
    for (location, source) in locations {
      guard let real = try? Directory.resolved(location), all.locations[real] == nil else {
        continue
      }
      all.locations[real] = source
    }
    return all
  }

  /// Whether a file system has one of its own.
  var haveFileSystems: Bool { !fileSystems.isEmpty }

  /// The source for the first of the file systems that has one, or else for the location, or the
  /// nearest one above it.
  package func source(for location: String, of names: [String] = []) -> Source? {
    for name in names {
      if let source = fileSystems[FileSystemRecord.key(name)] { return source }
    }
    var path = location
    while !path.isEmpty {
      if let source = locations[path] { return source }
      guard let slash = path.lastIndex(of: "/") else { return nil }
      path = String(path[..<slash])
    }
    return locations["/"]
  }
}
