import MuninnServer
import Testing

/// What a location of a request means.
@Suite struct LocationTests {
  @Test(arguments: [
    ("/srv/backups/x", "/srv/backups/x"),
    ("/", "/"),
    ("//srv///x/", "/srv/x"),
    ("/srv/./x/.", "/srv/x"),
    ("\\srv\\backups\\x", "/srv/backups/x"),
    ("~", "/base"),
    ("~/", "/base"),
    ("~/FileSystem/X", "/base/FileSystem/X"),
    ("~\\FileSystem\\X", "/base/FileSystem/X"),
    ("~\\FileSystem/X\\", "/base/FileSystem/X"),
    ("/with space/é", "/with space/é"),
    ("/a~/~", "/a~/~"),
    ("/x/...", "/x/..."),
  ])
  func reads(_ text: String, _ path: String) throws {
    #expect(try Location.path(text, field: "BackupLocation", base: "/base") == path)
  }

  @Test(arguments: [
    ("", "empty"),
    ("relative/path", "relative"),
    ("./x", "relative"),
    ("~other/x", "other users"),
    ("c:\\temp\\backup", "drive letter"),
    ("c:\temp\u{8}ackup", "drive letter"),
    ("C:/x", "drive letter"),
    ("d:", "drive letter"),
    ("\\\\server\\share", "network share"),
    ("s3://bucket/prefix", "not in this build"),
    ("file:///x", "not in this build"),
    ("/a/../b", ".."),
    ("~\\..\\b", ".."),
    ("/a/..", ".."),
    ("/a\u{0}b", "control character U+0000"),
    ("~/\temp", "control character U+0009"),
    ("/a\u{7F}", "control character U+007F"),
    ("/" + String(repeating: "x", count: 256), "longer"),
    (String(repeating: "/x", count: 2100), "longer"),
  ])
  func refuses(_ text: String, _ reason: String) {
    let error = #expect(throws: Refusal.self) {
      try Location.path(text, field: "BackupLocation", base: "/base")
    }
    #expect(error?.status == .badRequest)
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    // Each message says which field it is about, and what a location looks like here.
    #expect(error?.message.contains("BackupLocation") == true)
    #expect(error?.message.contains("~/backups/x") == true)
    #expect(error?.message.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true)
  }

  @Test func insideIsByComponents() {
    #expect(Location.isInside("/a/b", "/a"))
    #expect(Location.isInside("/a", "/a"))
    #expect(Location.isInside("/a", "/"))
    #expect(!Location.isInside("/ab", "/a"))
    #expect(!Location.isInside("/a", "/a/b"))
  }
}

@Suite struct ListenAddressTests {
  @Test(arguments: [
    ("127.0.0.1:8080", "127.0.0.1", 8080),
    ("localhost:0", "localhost", 0),
    ("[::1]:90", "::1", 90),
    ("[::1]", "::1", 8080),
    (":81", "127.0.0.1", 81),
    ("10.0.0.1", "10.0.0.1", 8080),
  ])
  func reads(_ text: String, _ host: String, _ port: Int) {
    let address = ListenAddress.parse(text)
    #expect(address?.host == host)
    #expect(address?.port == port)
  }

  @Test(arguments: ["127.0.0.1:x", "127.0.0.1:70000", "::1:80", "a:-1"])
  func refuses(_ text: String) { #expect(ListenAddress.parse(text) == nil) }

  @Test func onlyLoopbackIsLoopback() {
    for host in ["127.0.0.1", "127.1.2.3", "::1", "localhost"] {
      #expect(ListenAddress.isLoopback(host))
    }
    for host in ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.evil.example", "127.0.0", "128.0.0.1", ""]
    {
      #expect(!ListenAddress.isLoopback(host))
    }
  }
}
