import HTTPTypes
import Hummingbird
import NIOCore

/// Responses of the wire rules.
enum Answer {
  /// JSON in UTF-8, nulls written, never cached.
  static func json(_ value: JSONValue, _ status: HTTPResponse.Status = .ok) throws -> Response {
    json(ByteBuffer(bytes: try value.bytes()), status)
  }

  /// The same of text that is JSON already.
  static func json(text: String) -> Response { json(ByteBuffer(string: text), .ok) }

  private static func json(_ body: ByteBuffer, _ status: HTTPResponse.Status) -> Response {
    Response(
      status: status,
      headers: [.contentType: "application/json; charset=utf-8", .cacheControl: "no-cache"],
      body: ResponseBody(byteBuffer: body))
  }

  static func empty(_ status: HTTPResponse.Status, headers: HTTPFields = [:]) -> Response {
    Response(status: status, headers: headers)
  }

  static func error(_ url: String, _ refusal: Refusal) -> Response {
    let body: JSONValue = .object(["Url": .string(url), "Error": .string(refusal.message)])
    let status = HTTPResponse.Status(code: refusal.status.rawValue)
    do {
      var response = try json(body, status)
      for field in refusal.headers { response.headers.append(field) }
      return response
    } catch {
      return Response(status: status)
    }
  }
}
