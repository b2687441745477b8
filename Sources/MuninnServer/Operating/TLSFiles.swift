import NIOCore
import NIOSSL
import Synchronization

/// The files that TLS is served with.
package struct TLSFiles: Sendable, Equatable {
  /// The server's certificate and the chain above it, PEM.
  package var certificate: String
  /// Its private key, PEM.
  package var key: String
  /// Certificates, PEM, of the authorities whose clients are let in; nil asks for none.
  package var clientAuthorities: String?

  package init(certificate: String, key: String, clientAuthorities: String?) {
    self.certificate = certificate
    self.key = key
    self.clientAuthorities = clientAuthorities
  }
}

/// TLS as it is set up, with a certificate that can be exchanged while the server runs.
final class TLSIdentity: Sendable {
  private let files: TLSFiles
  private let current: Mutex<NIOSSLContextConfigurationOverride>

  init(_ files: TLSFiles) throws(Refusal) {
    self.files = files
    current = Mutex(try Self.load(files))
  }

  private static func load(
    _ files: TLSFiles
  ) throws(Refusal) -> NIOSSLContextConfigurationOverride {
    do {
      var loaded = NIOSSLContextConfigurationOverride()
      loaded.certificateChain = try NIOSSLCertificate.fromPEMFile(files.certificate)
        .map { .certificate($0) }
      loaded.privateKey = .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem))
      return loaded
    } catch {
      throw Refusal(
        .badRequest,
        "The TLS files '\(files.certificate)' and '\(files.key)' cannot be used: \(error).")
    }
  }

  /// Reads the files again; connections from now on get the new certificate.
  func reload() throws(Refusal) {
    let loaded = try Self.load(files)
    current.withLock { $0 = loaded }
  }

  func configuration() throws(Refusal) -> TLSConfiguration {
    let loaded = current.withLock { $0 }
    guard let chain = loaded.certificateChain, let key = loaded.privateKey else {
      throw Refusal(.badRequest, "The TLS certificate '\(files.certificate)' is empty.")
    }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain, privateKey: key)
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = ["http/1.1"]
    configuration.sslContextCallback = { [self] _, promise in
      promise.succeed(current.withLock { $0 })
    }
    if let authorities = files.clientAuthorities {
      configuration.trustRoots = .file(authorities)
      // Whose certificate it is, not where it comes from, is what lets a client in.
      configuration.certificateVerification = .noHostnameVerification
    }
    return configuration
  }
}
