import HTTPTypes
import Hummingbird
import MuninnServer
import Testing

/// `/openapi.json` against the implementation. That every answer has a documented status is held by
/// every other test of the routes.
@Suite struct DescriptionTests {
  @Test func itDescribesExactlyWhatIsRouted() async throws {
    try await withServer(.inside) { server in
      let routed = Routes(core: server.server.core).router().routes
        .filter { $0.method != .head }
        .map { route in
          let path = "\(route.path)".split(separator: "/").map { part -> String in
            if part == "**" { return "{path}" }
            return part.hasPrefix(":") ? "{\(part.dropFirst())}" : String(part)
          }
          return "\(route.method.rawValue.lowercased()) /\(path.joined(separator: "/"))"
        }
      let described = APIDescription.operations.map { "\($0.method) \($0.path)" }
      #expect(Set(routed).subtracting(described) == [])
      #expect(Set(described).subtracting(routed) == [])
      #expect(described.count == Set(described).count)
    }
  }

  @Test func itIsServedAndItsReferencesHold() async throws {
    try await withServer { server in
      let reply = try await server.send(.get, "/openapi.json", expecting: 200)
      #expect(reply["openapi"] == .string("3.1.0"))
      let schemas = try #require(reply["components"]?.object?["schemas"]?.object)
      var names: Set<String> = []
      func collect(_ value: JSONValue) {
        switch value {
        case .object(let members):
          if case .string(let reference)? = members["$ref"] {
            names.insert(String(reference.dropFirst("#/components/schemas/".count)))
          }
          for member in members.values { collect(member) }
        case .array(let elements): for element in elements { collect(element) }
        default: break
        }
      }
      collect(try reply.json)
      #expect(names.count > 10)
      #expect(names.subtracting(schemas.keys) == [])
    }
  }
}
