import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle

extension Routes {
  /// `GET /operation/events`: what `/operation/status` answers, whenever it changes, as server-sent
  /// events. `progress` while it runs, and `end` once, after which the stream ends.
  func addEvents(to router: Router<ServerContext>) {
    let core = core
    router.get("operation/events") { request, _ in
      let id = try request.operationID()
      _ = try await Self.record(id, core)
      let headers: HTTPFields = [
        .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
      ]
      return Response(
        status: .ok, headers: headers,
        body: ResponseBody { writer in
          var events = OperationEvents(id: id, core: core)
          while let event = try await events.next() {
            try await writer.write(ByteBuffer(string: event))
          }
          try await writer.finish(nil)
        })
    }
  }
}

/// The events of one operation, from now to its end.
struct OperationEvents: Sendable {
  /// How often progress is looked at.
  private static let pace = Duration.milliseconds(250)
  /// After so many looks without news, a minute's quarter, a comment keeps the connection alive.
  private static let silence = 60

  let id: Int64
  let core: ServerCore
  private var last: String?
  private var isOver = false

  init(id: Int64, core: ServerCore) {
    self.id = id
    self.core = core
  }

  /// The next event as it is sent; nil after the last. A server that stops lets its streams go; a
  /// client asks the next one.
  mutating func next() async throws -> String? {
    var quiet = 0
    if last != nil, !isOver { try await Task.sleep(for: Self.pace) }
    while !isOver, !Task.isShuttingDownGracefully {
      guard let record = try await core.operations.record(id) else { return nil }
      let text = try JSONValue.object(Routes.statusWithMessages(record)).text()
      isOver = record.outcome != .running
      if isOver || text != last {
        last = text
        return "event: \(isOver ? "end" : "progress")\ndata: \(text)\n\n"
      }
      quiet += 1
      if quiet >= Self.silence { return ":\n\n" }
      try await Task.sleep(for: Self.pace)
    }
    return nil
  }
}
