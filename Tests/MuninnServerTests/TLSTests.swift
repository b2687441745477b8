import Foundation
import MuninnTestSupport
import Testing

/// TLS: served, exchanged while the server runs, and asked of clients.
@Suite struct TLSTests {
  /// Makes a certificate of its own, `NAME.pem` with `NAME.key`.
  private func make(_ name: String, in scratch: String) throws {
    let result = try runProgram([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-keyout", "\(scratch)/\(name).key", "-out", "\(scratch)/\(name).pem",
      "-days", "2", "-subj", "/CN=\(name)", "-addext",
      "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ])
    guard result.status == 0 else { throw TestFailure(text: result.errors) }
  }

  private func curl(_ url: String, _ more: String...) throws -> ProgramResult {
    try runProgram(
      ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", url] + more)
  }

  @Test func theCertificateIsExchangedOnSIGHUP() async throws {
    try await withScratch { scratch in
      let manager = FileManager.default
      for name in ["server", "next"] { try make(name, in: scratch) }
      try manager.copyItem(atPath: scratch + "/server.pem", toPath: scratch + "/first.pem")
      let process = try await ServerProcess.start(
        base: scratch + "/base", log: scratch + "/log",
        ["--tls-certificate", scratch + "/server.pem", "--tls-key", scratch + "/server.key"])
      let url = process.url + "/fs"
      #expect(try curl(url, "--cacert", scratch + "/first.pem").output == "200")
      for kind in ["pem", "key"] {
        try manager.removeItem(atPath: "\(scratch)/server.\(kind)")
        try manager.copyItem(
          atPath: "\(scratch)/next.\(kind)", toPath: "\(scratch)/server.\(kind)")
      }
      process.signal(SIGHUP)
      var isExchanged = false
      for _ in 0..<100 where !isExchanged {
        isExchanged = try curl(url, "--cacert", scratch + "/next.pem").output == "200"
        if !isExchanged { try await Task.sleep(for: .milliseconds(50)) }
      }
      #expect(isExchanged)
      #expect(try curl(url, "--cacert", scratch + "/first.pem").status != 0)
      // What cannot be used leaves the last good one.
      try "nonsense".write(toFile: scratch + "/server.pem", atomically: false, encoding: .utf8)
      process.signal(SIGHUP)
      try await Task.sleep(for: .milliseconds(300))
      #expect(try curl(url, "--cacert", scratch + "/next.pem").output == "200")
      #expect(try await process.stop() == 0)
    }
  }

  @Test func tlsIsServedAndAsksForClientCertificates() async throws {
    try await withScratch { scratch in
      for name in ["server", "client", "stranger"] { try make(name, in: scratch) }
      let arguments = [
        "--tls-certificate", scratch + "/server.pem", "--tls-key", scratch + "/server.key",
      ]
      let plain = try await ServerProcess.start(
        base: scratch + "/base", log: scratch + "/log", arguments)
      #expect(plain.url.hasPrefix("https://127.0.0.1:"))
      #expect(try curl(plain.url + "/fs", "--cacert", scratch + "/server.pem").output == "200")
      #expect(try curl(plain.url + "/fs").status != 0)
      #expect(try curl("http://127.0.0.1:\(plain.port)/fs").status != 0)
      #expect(try await plain.stop() == 0)

      let mutual = try await ServerProcess.start(
        base: scratch + "/base", log: scratch + "/log",
        arguments + ["--tls-client-ca", scratch + "/client.pem", "--listen", "0.0.0.0:0"])
      let url = "https://127.0.0.1:\(mutual.port)/fs"
      let ca = scratch + "/server.pem"
      func ask(_ name: String) throws -> ProgramResult {
        try curl(
          url, "--cacert", ca, "--cert", "\(scratch)/\(name).pem", "--key", "\(scratch)/\(name).key"
        )
      }
      #expect(try ask("client").output == "200")
      #expect(try ask("stranger").output != "200")
      #expect(try curl(url, "--cacert", ca).output != "200")
      #expect(try await mutual.stop() == 0)
    }
  }
}
