import HTTPTypes
import Hummingbird

/// Decides who may ask for what, before any route looks at a request.
///
/// With keys: a key, and for what changes anything one with admin access. Without keys, which is
/// possible on loopback alone: nothing that a browser sends on another site's behalf.
struct AccessControl: RouterMiddleware {
  let settings: LiveSettings

  @concurrent func handle(
    _ request: Request, context: ServerContext,
    next: @concurrent (Request, ServerContext) async throws -> Response
  ) async throws -> Response {
    // Whether the server lives is no secret.
    if request.uri.path == "/health" { return try await next(request, context) }
    if let keys = settings.keys {
      try authorize(request, keys, context.client)
    } else if settings.hasClientCertificates {
      context.client.set("certificate")
    } else {
      try refuseForeignPages(request)
      context.client.set("local")
    }
    return try await next(request, context)
  }

  private func authorize(
    _ request: Request, _ keys: KeyRing, _ client: ClientName
  ) throws(Refusal) {
    guard let header = request.headers[.authorization] else {
      throw Self.unauthorized("This server wants an API key: Authorization: Bearer KEY.")
    }
    let words = header.split(separator: " ", maxSplits: 1)
    guard words.count == 2, words[0].lowercased() == "bearer",
      let key = keys.key(String(words[1]))
    else {
      throw Self.unauthorized(
        "The API key is not one of this server's; muninn serve key add makes one.")
    }
    client.set(key.name)
    if key.access == .read, Self.changesSomething(request) {
      throw Refusal(
        .forbidden, "The key '\(key.name)' may read only; this request wants one with admin access."
      )
    }
  }

  private static func unauthorized(_ message: String) -> Refusal {
    Refusal(.unauthorized, message, headers: [.wwwAuthenticate: "Bearer realm=\"Muninn\""])
  }

  /// Everything but GET and HEAD, and the one GET that does, which RavenDB has.
  static func changesSomething(_ request: Request) -> Bool {
    (request.method != .get && request.method != .head) || request.uri.path == "/operation/kill"
  }

  /// A page of another site can make a browser on this machine send requests here. Such a request
  /// says so itself (Origin, Sec-Fetch-Site), or has been led here by a name of the site's own that
  /// it resolves to this machine (Host).
  private func refuseForeignPages(_ request: Request) throws(Refusal) {
    if let authority = request.head.authority, !authority.isEmpty,
      !isOwn(Self.host(of: authority))
    {
      throw Refusal(
        .forbidden,
        "The host '\(authority.prefix(200))' is not this server's name; use localhost, or API keys."
      )
    }
    if let origin = request.headers[.origin] {
      let host = origin.firstRange(of: "://").map {
        Self.host(of: String(origin[$0.upperBound...]))
      }
      guard let host, isOwn(host) else {
        throw Refusal(
          .forbidden, "Requests of pages of '\(origin.prefix(200))' are refused without API keys.")
      }
    }
    if let site = request.headers[.secFetchSite], site == "cross-site" || site == "same-site" {
      throw Refusal(.forbidden, "Requests of pages of other sites are refused without API keys.")
    }
  }

  private func isOwn(_ host: String) -> Bool {
    ListenAddress.isLoopback(host) || host == settings.host
  }

  /// The host of `host:port` or `[v6]:port`.
  private static func host(of authority: String) -> String {
    let lowered = authority.lowercased()
    if lowered.hasPrefix("["), let end = lowered.firstIndex(of: "]") {
      return String(lowered[lowered.index(after: lowered.startIndex)..<end])
    }
    return String(lowered.prefix { $0 != ":" && $0 != "/" })
  }
}

extension HTTPField.Name {
  /// What browsers say about where a request comes from (W3C Fetch Metadata).
  fileprivate static let secFetchSite = HTTPField.Name("Sec-Fetch-Site") ?? .origin
}
