import Foundation
import HTTPTypes
import MuninnServer
import MuninnTestSupport
import Testing

/// Encrypted repositories, opened with what the settings say for their location.
@Suite struct EncryptionTests {
  private let passphrase = "seven-ravens-and-a-half"

  @Test func aLocationWithAPassphraseIsEncrypted() async throws {
    try await withScratch { scratch in
      let file = scratch + "/passphrase"
      try (passphrase + "\n").write(toFile: file, atomically: false, encoding: .utf8)
      let location = scratch + "/backups/A"
      let arguments = ["--passphrase-file", "\(scratch)/backups=\(file)"]
      try await withServer(in: scratch, arguments: arguments) { server in
        let tree = try server.makeTree(files: [
          "a": String(repeating: "plainly visible ", count: 99)
        ])
        try await server.send(
          .put, "/admin/fs/A",
          "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'},'SecuredSettings':{'p':'hidden'}}",
          expecting: 201)
        let status = try await server.backUp("A", to: location)
        #expect(!status.body.contains("not encrypted"), "\(status.body)")
        try await server.backUp("A", to: location, incremental: true)
        let result = try await server.restore(
          "{'BackupLocation':'\(location)','FilesystemName':'R','FilesystemLocation':'~/r'}")
        #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
        #expect(try server.contents(of: server.base + "/r") == server.contents(of: tree))
        let verify = try await server.send(
          .post, "/admin/fs/verify", "{'BackupLocation':'\(location)','ReadData':true}",
          expecting: 200)
        #expect(verify["OperationId"] == .integer(4))
        #expect(try await server.finalStatus(operation: 4)["Faulted"] == .bool(false))
      }
      // Without the passphrase, and with another one, nothing is opened; no secret is shown.
      for text in [nil, "another one"] as [String?] {
        if let text { try text.write(toFile: file, atomically: false, encoding: .utf8) }
        try await withServer(in: scratch, arguments: text == nil ? [] : arguments) { server in
          for reply in [
            try await server.send(
              .post, "/fs/A/admin/backup", "{'BackupLocation':'\(location)'}", expecting: 403),
            try await server.send(
              .post, "/admin/fs/restore", "{'BackupLocation':'\(location)','FilesystemName':'Q'}",
              expecting: 403),
            try await server.send(
              .get, "/fs/A/admin/backups?location=\(location)", expecting: 403),
          ] { #expect(!reply.body.contains(passphrase)) }
        }
      }
      for path in FileManager.default.subpaths(atPath: scratch) ?? []
      where path.hasPrefix("backups/") || path.hasSuffix(".log") || path.hasPrefix("base/muninn") {
        guard let bytes = FileManager.default.contents(atPath: scratch + "/" + path) else {
          continue
        }
        for secret in [passphrase, "hidden", "plainly visible"] where path.hasPrefix("backups/") {
          #expect(bytes.firstRange(of: Data(secret.utf8)) == nil, "\(path)")
        }
        #expect(bytes.firstRange(of: Data(passphrase.utf8)) == nil, "\(path)")
      }
    }
  }

  @Test func aFileSystemHasAKeyOfItsOwn() async throws {
    try await withScratch { scratch in
      // Of a location, and of two file systems.
      let passphrases = ["hugin-by-day", "munin-by-night", "odin-in-between"]
      let files = (0..<passphrases.count).map { "\(scratch)/passphrase-\($0)" }
      for (file, text) in zip(files, passphrases) {
        try text.write(toFile: file, atomically: false, encoding: .utf8)
      }
      let backups = scratch + "/backups"
      // Names match ignoring case, here as everywhere.
      let own = [
        "--fs-passphrase-file", "a=\(files[1])", "--fs-passphrase-file", "B=\(files[2])",
      ]
      let arguments = ["--passphrase-file", "\(backups)=\(files[0])"] + own
      try await withServer(in: scratch, arguments: arguments) { server in
        for name in ["A", "B", "C"] {
          try await Self.goRound(server, name, at: "\(backups)/\(name)")
        }
        // One file system's key does not open another's repository.
        let reply = try await server.send(
          .post, "/fs/B/admin/backup", "{'BackupLocation':'\(backups)/A'}", expecting: 403)
        for text in passphrases { #expect(!reply.body.contains(text)) }
      }
      // Each repository has the key that the settings say for it, and no other.
      for (name, own) in zip(["A", "B", "C"], [1, 2, 0]) {
        for index in files.indices {
          let result = try runProgram([
            ServerProcess.program, "snapshots", "\(backups)/\(name)", "--passphrase-file",
            files[index],
          ])
          #expect(result.status == (index == own ? 0 : 6), "\(name) with \(index)")
        }
      }
      // A server that was never there takes the key of the file system that it is told.
      let other = scratch + "/other"
      try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
      try await withServer(in: other, arguments: own) { server in
        let body = "'BackupLocation':'\(backups)/A','FilesystemName':'X'"
        try await server.send(.post, "/admin/fs/restore", "{\(body)}", expecting: 403)
        let result = try await server.restore("{\(body),'SourceFilesystem':'A'}")
        #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
      }
      for path in FileManager.default.subpaths(atPath: scratch) ?? []
      where !path.hasPrefix("passphrase-") {
        guard let bytes = FileManager.default.contents(atPath: scratch + "/" + path) else {
          continue
        }
        for text in passphrases { #expect(bytes.firstRange(of: Data(text.utf8)) == nil, "\(path)") }
      }
    }
  }

  /// Everything that opens a file system's repository.
  private static func goRound(
    _ server: ServerUnderTest, _ name: String, at location: String
  ) async throws {
    let tree = try server.makeTree("tree-" + name, files: ["name": name])
    try await server.send(
      .put, "/admin/fs/\(name)", "{'Settings':{'Raven/FileSystem/DataDir':'\(tree)'}}",
      expecting: 201)
    let status = try await server.backUp(name, to: location)
    #expect(!status.body.contains("not encrypted"), "\(status.body)")
    try await server.backUp(name, to: location, incremental: true)
    try await server.send(
      .get, "/fs/\(name)/admin/backups?location=\(location)", expecting: 200)
    // Whose repository it is, the server knows from having backed it up.
    let verify = try await server.send(
      .post, "/admin/fs/verify", "{'BackupLocation':'\(location)'}", expecting: 200)
    guard case .integer(let id)? = verify["OperationId"] else {
      throw TestFailure(text: verify.body)
    }
    #expect(try await server.finalStatus(operation: id)["Faulted"] == .bool(false))
    let result = try await server.restore(
      "{'BackupLocation':'\(location)','FilesystemName':'R\(name)'}")
    #expect(result.status["Faulted"] == .bool(false), "\(result.status.body)")
  }
}
