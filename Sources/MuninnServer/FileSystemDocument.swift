import Muninn

/// The settings document of a file system, `{"Settings":{…},"SecuredSettings":{…}}`, and what a
/// snapshot makes of it.
enum FileSystemDocument {
  static let dataDirectory = "Raven/FileSystem/DataDir"

  /// The value of a setting, by its exact name or ignoring case.
  static func setting(
    _ name: String, in document: [String: JSONValue]
  ) throws(Refusal) -> String? {
    guard let settings = try RequestObject(document).object("Settings") else { return nil }
    return try RequestObject(settings).string(name)
  }

  /// Whether the document says `Disabled: true`.
  static func isDisabled(_ document: String) throws -> Bool {
    try RequestObject(JSONValue(text: document).object ?? [:]).bool("Disabled") ?? false
  }

  /// `document` with its data directory set.
  static func setting(
    dataDirectory path: String, in document: [String: JSONValue]
  ) -> [String: JSONValue] {
    var document = document
    let settingsName = document.keys.first { $0.lowercased() == "settings" } ?? "Settings"
    var settings = document[settingsName]?.object ?? [:]
    let name = settings.keys.first { $0.lowercased() == dataDirectory.lowercased() }
    settings[name ?? dataDirectory] = .string(path)
    document[settingsName] = .object(settings)
    return document
  }

  /// The document and items in a snapshot, for a file system over `data`. What cannot be read there
  /// is left out: a restore's files do not depend on it.
  static func brought(
    by snapshot: Snapshot, data: String
  ) -> (document: [String: JSONValue], items: [String: JSONValue]) {
    let kept = snapshot.document.flatMap { try? JSONValue(text: $0) }?.object ?? [:]
    let document = kept["FileSystemDocument"]?.object ?? [:]
    var items = (kept["Configuration"]?.object ?? [:]).filter { $0.value.object != nil }
    for name in items.keys where name.lowercased() == BackupStatus.itemName.lowercased() {
      items[name] = nil
    }
    return (setting(dataDirectory: data, in: document), items)
  }
}
