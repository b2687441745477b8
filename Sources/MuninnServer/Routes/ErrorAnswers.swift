import GRDB
import HTTPTypes
import Hummingbird
import Logging
import Muninn

/// Turns every error that a route throws into an honest status and `{"Url","Error"}`.
struct ErrorAnswers: RouterMiddleware {
  let logger: Logger

  @concurrent func handle(
    _ request: Request, context: ServerContext,
    next: @concurrent (Request, ServerContext) async throws -> Response
  ) async throws -> Response {
    let refusal: Refusal
    do {
      return try await next(request, context)
    } catch let error as Refusal {
      refusal = error
    } catch let error as MuninnError {
      refusal = Refusal(error)
    } catch let error as HTTPError {
      refusal = Self.refusal(of: error, request)
    } catch let error as DatabaseError {
      logger.error("database: \(error)")
      refusal =
        error.resultCode == .SQLITE_FULL
        ? Refusal(.insufficientStorage, "The disk of the server's base directory is full.")
        : Refusal(.internalServerError, "The server's own database failed; its log has the cause.")
    } catch is CancellationError {
      refusal = Refusal(.serviceUnavailable, "The server is shutting down.")
    } catch {
      logger.error("unexpected error: \(error)", metadata: ["path": "\(request.uri.path)"])
      refusal = Refusal(.internalServerError, "The request failed; the server's log has the cause.")
    }
    if refusal.status == .internalServerError || refusal.status == .insufficientStorage {
      logger.error("request failed: \(refusal.message)", metadata: ["path": "\(request.uri.path)"])
    }
    return Answer.error(request.uri.string, refusal)
  }

  private static func notFound(_ request: Request) -> Refusal {
    let what = "\(request.method) \(request.uri.path.prefix(200))"
    var methods = APIDescription.methods(of: request.uri.path)
    if methods.isEmpty { return Refusal(.notFound, "There is no \(what).") }
    if methods.contains("GET") { methods.append("HEAD") }
    let list = methods.sorted().joined(separator: ", ")
    return Refusal(
      .methodNotAllowed, "There is no \(what); the path takes \(list).", headers: [.allow: list])
  }

  private static func refusal(of error: HTTPError, _ request: Request) -> Refusal {
    switch error.status {
    case .notFound:
      return notFound(request)
    case .contentTooLarge:
      return Refusal(.contentTooLarge, "The body is larger than \(RequestReading.bodyLimit) bytes.")
    default:
      return Refusal(.badRequest, error.body ?? error.status.reasonPhrase)
    }
  }
}
