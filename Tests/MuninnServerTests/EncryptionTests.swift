import Foundation
import HTTPTypes
import MuninnServer
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
}
