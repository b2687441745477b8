import HTTPTypes
import Muninn

/// A request that is answered with an error: the status, and what happened, which value, what to
/// do.
package struct Refusal: Error, Sendable, CustomStringConvertible {
  /// The HTTP statuses that errors are answered with.
  package enum Status: Int, Sendable {
    case badRequest = 400
    case unauthorized = 401
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case conflict = 409
    case preconditionFailed = 412
    case contentTooLarge = 413
    case rangeNotSatisfiable = 416
    case unprocessableContent = 422
    case internalServerError = 500
    case serviceUnavailable = 503
    case insufficientStorage = 507
  }

  package let status: Status
  package let message: String
  /// Headers that belong to the status.
  let headers: HTTPFields

  package init(_ status: Status, _ message: String) { self.init(status, message, headers: [:]) }

  init(_ status: Status, _ message: String, headers: HTTPFields) {
    self.status = status
    self.message = message
    self.headers = headers
  }

  package var description: String { message }
}

extension Refusal {
  /// The engine's error as an answer. The engine's messages are written for the user already.
  init(_ error: MuninnError) {
    self.init(Self.status(of: error.code), error.message)
  }

  private static func status(of code: MuninnError.Code) -> Status {
    switch code {
    case .invalidInput: .badRequest
    case .notARepository, .unsupportedFormat, .damaged, .rolledBack: .unprocessableContent
    case .notFound: .notFound
    case .alreadyExists, .busy: .conflict
    case .wrongKey, .accessDenied: .forbidden
    case .noSpace: .insufficientStorage
    case .cancelled: .serviceUnavailable
    case .partial, .inputOutput: .internalServerError
    }
  }
}
