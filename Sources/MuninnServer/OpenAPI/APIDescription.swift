/// What the server answers, as OpenAPI 3.1 describes it: made from the table of operations and the
/// schemas, and held against the router and every answer by the tests.
package enum APIDescription {
  /// One method of one path.
  package struct Operation: Sendable {
    package let method: String
    /// With `{name}` where the router has a parameter.
    package let path: String
    let summary: String
    let query: [Parameter]
    let body: Content?
    let status: Int
    let answer: Content?
    /// Beside those that every operation has.
    let errors: [Int]

    init(
      _ method: String, _ path: String, _ summary: String, query: [Parameter] = [],
      body: Content? = nil, _ status: Int = 200, _ answer: Content? = nil, errors: [Int] = []
    ) {
      self.method = method
      self.path = path
      self.summary = summary
      self.query = query
      self.body = body
      self.status = status
      self.answer = answer
      self.errors = errors
    }

    var parameterCount: Int { path.count { $0 == "{" } }

    /// Every status that it may be answered with.
    package var statuses: Set<Int> {
      var all = Set(errors + APIDescription.commonErrors + [status])
      if body != nil { all.insert(413) }
      return all
    }
  }

  enum Content: Sendable {
    /// JSON of that schema.
    case json(String)
    /// A list of values of that schema.
    case list(String)
    case text(String)
    /// Server-sent events, each of that schema.
    case events(String)
    case bytes
  }

  struct Parameter: Sendable {
    let name: String
    let schema: JSONValue
    let isRequired: Bool
    let description: String
    var example: String?

    static func flag(_ name: String, _ description: String) -> Parameter {
      Parameter(
        name: name, schema: ["type": "string"], isRequired: false,
        description: description + "; true in any case is true, anything else false")
    }

    static func text(
      _ name: String, _ description: String, isRequired: Bool = false, example: String? = nil
    ) -> Parameter {
      Parameter(
        name: name, schema: ["type": "string"], isRequired: isRequired, description: description,
        example: example)
    }

    static func number(
      _ name: String, _ description: String, minimum: Int64 = 0, isRequired: Bool = false
    ) -> Parameter {
      Parameter(
        name: name,
        schema: ["type": "integer", "minimum": .integer(minimum), "maximum": .integer(.max)],
        isRequired: isRequired, description: description)
    }
  }

  /// A request that cannot be used; no key; no right; nothing there; a method that the path does
  /// not have; the system's errors; not now; no space.
  static let commonErrors = [400, 401, 403, 404, 405, 500, 503, 507]

  private static let reasons: [Int: String] = [
    200: "Done", 201: "Begun or made", 204: "Done", 206: "The part that was asked for",
    304: "Not changed", 400: "The request cannot be used", 401: "No API key, or an unknown one",
    403: "Not allowed", 404: "Not there", 405: "The path does not have the method",
    409: "In the way: running, taken, or another's", 412: "A condition does not hold",
    413: "The body is too large", 416: "Nothing of the file is in the range",
    422: "Not a usable backup", 500: "An error of the system",
    503: "Not now", 507: "No space",
  ]

  /// The methods that the table has for a path of a request; empty where it has no such path.
  static func methods(of path: String) -> [String] {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    let found = operations.filter { matches($0.path, parts) }
    // A path that is named as it is goes before one with a parameter in its place.
    let fewest = found.map(\.parameterCount).min()
    return found.filter { $0.parameterCount == fewest }.map { $0.method.uppercased() }
  }

  /// The operation that a request is answered by.
  package static func operation(_ method: String, _ path: String) -> Operation? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    let method = method.lowercased() == "head" ? "get" : method.lowercased()
    let found = operations.filter { $0.method == method && matches($0.path, parts) }
    return found.min { $0.parameterCount < $1.parameterCount }
  }

  private static func matches(_ pattern: String, _ parts: [Substring]) -> Bool {
    let wanted = pattern.split(separator: "/")
    if wanted.last == "{path}" {
      guard parts.count >= wanted.count else { return false }
    } else if wanted.count != parts.count {
      return false
    }
    return zip(wanted, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
  }
}

// MARK: - The document

extension APIDescription {
  /// The description as a JSON document.
  package static func document() throws -> JSONValue {
    var paths: [String: JSONValue] = [:]
    for operation in operations {
      var item = paths[operation.path]?.object ?? [:]
      item[operation.method] = json(operation)
      paths[operation.path] = .object(item)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Muninn",
        "description": "RavenFS's backup and restore, and what it takes to use them.",
        "version": "1",
      ],
      "paths": .object(paths),
      "components": [
        "schemas": try JSONValue(text: schemas),
        "securitySchemes": ["key": ["type": "http", "scheme": "bearer"]],
      ],
      // Without keys on loopback, nothing is asked for.
      "security": [["key": []], [:]],
    ]
  }

  private static func json(_ operation: Operation) -> JSONValue {
    var members: [String: JSONValue] = ["summary": .string(operation.summary)]
    let names = operation.path.split(separator: "/").filter { $0.hasPrefix("{") }
    var parameters: [JSONValue] = names.map { name in
      let name = String(name.dropFirst().dropLast())
      return [
        "name": .string(name), "in": "path", "required": true,
        "schema": ["type": "string", "minLength": .integer(1)],
        "example": .string(name == "path" ? "docs/hello.txt" : "NorthwindFS"),
      ]
    }
    parameters += operation.query.map { parameter in
      var members: [String: JSONValue] = [
        "name": .string(parameter.name), "in": "query", "required": .bool(parameter.isRequired),
        "description": .string(parameter.description), "schema": parameter.schema,
      ]
      if let example = parameter.example { members["example"] = .string(example) }
      return .object(members)
    }
    if !parameters.isEmpty { members["parameters"] = .array(parameters) }
    if let body = operation.body {
      members["requestBody"] = ["required": true, "content": content(body)]
    }
    var responses: [String: JSONValue] = [:]
    for status in operation.statuses {
      var response: [String: JSONValue] = [
        "description": .string(reasons[status] ?? "See the documentation")
      ]
      if status == operation.status {
        if let answer = operation.answer { response["content"] = content(answer) }
      } else if status == 206 {
        response["content"] = content(.bytes)
      } else if status >= 400 {
        response["content"] = content(.json("Error"))
      }
      responses[String(status)] = .object(response)
    }
    members["responses"] = .object(responses)
    return .object(members)
  }

  private static func content(_ content: Content) -> JSONValue {
    func reference(_ name: String) -> JSONValue {
      ["$ref": .string("#/components/schemas/\(name)")]
    }
    return switch content {
    case .json(let name): ["application/json": ["schema": reference(name)]]
    case .list(let name):
      ["application/json": ["schema": ["type": "array", "items": reference(name)]]]
    case .text(let type): [type: ["schema": ["type": "string"]]]
    case .events(let name): ["text/event-stream": ["schema": reference(name)]]
    case .bytes: ["application/octet-stream": [:]]
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements) { $1 })
  }
}
