/// Reads request bodies as the wire rules have them: single quotes, unquoted names, comments,
/// trailing commas, and backslashes that begin no JSON escape, as they are left over where a
/// Windows path went through a shell.
package enum LenientJSON {
  /// The object that `body` holds. Throws 400 saying what could not be read, and where.
  package static func object(in body: [UInt8]) throws(Refusal) -> RequestObject {
    guard body.contains(where: { $0 != 0x20 && !(0x09...0x0D).contains($0) }) else {
      throw Refusal(.badRequest, "The request has no body; a JSON object is expected.")
    }
    guard let members = try value(in: body).object else {
      throw Refusal(.badRequest, "The body is JSON, but not an object: {…} is expected.")
    }
    return RequestObject(members)
  }

  /// `'~\backups\'` is a closed text, `'it\'s'` has an escaped quote: what does not read as the one
  /// is tried as the other.
  private static func value(in body: [UInt8]) throws(Refusal) -> JSONValue {
    do {
      return try JSONReader.value(in: body, takingQuoteEscapes: false)
    } catch {
      if let value = try? JSONReader.value(in: body, takingQuoteEscapes: true) { return value }
      throw Refusal(.badRequest, "The body is not JSON: \(error).")
    }
  }
}
