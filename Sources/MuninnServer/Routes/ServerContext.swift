package import Hummingbird
import NIOCore

/// What a request carries through its route: the library's own part, and where it came from.
package struct ServerContext: RequestContext {
  package var coreContext: CoreRequestContextStorage
  /// The address of the client's end of the connection; nil where there is none.
  let remoteAddress: SocketAddress?
  /// Who sent the request, once that is known.
  let client = ClientName()

  package init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    remoteAddress = source.channel.remoteAddress
  }
}
