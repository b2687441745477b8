import Foundation
import HTTPTypes
import Hummingbird
import Muninn
import MuninnDisk
import NIOCore

extension Routes {
  private static let pageLimit = 1024
  /// Bytes that are gathered before they are written.
  private static let batchByteCount = 1 << 20

  func addFiles(to router: Router<ServerContext>) {
    let core = core
    router.get("fs/:name/files") { request, context in
      let fileSystem = try await core.enabledFileSystem(named: try context.component("name"))
      var prefix = PathText.decode(request.query("startsWith") ?? "")
      if !prefix.isEmpty, prefix.first != 0x2F { prefix.insert(0x2F, at: 0) }
      let start = try request.number("start", default: 0)
      let count = min(try request.number("pageSize", default: 128), Self.pageLimit)
      let tree = try await core.tree(of: fileSystem, for: nil)
      let page = try await Blocking.run { [prefix] () throws(Refusal) in
        var listing = FileListing(tree, startsWith: prefix)
        return try listing.page(start: start, count: count)
      }
      return try Answer.json(.array(page.map(Self.json)))
    }
    router.put("fs/:name/files/**") { request, context in
      let path = try Self.path(request)
      let fileSystem = try await core.enabledFileSystem(named: try context.component("name"))
      return try await Self.upload(
        request, path, to: try await core.tree(of: fileSystem, for: path))
    }
    router.get("fs/:name/files/**") { request, context in
      let path = try Self.path(request)
      let fileSystem = try await core.enabledFileSystem(named: try context.component("name"))
      return try await Self.send(path, of: try await core.tree(of: fileSystem, for: path), request)
    }
    router.delete("fs/:name/files/**") { request, context in
      let path = try Self.path(request)
      let fileSystem = try await core.enabledFileSystem(named: try context.component("name"))
      let tree = try await core.tree(of: fileSystem, for: path)
      let (ifMatch, ifNoneMatch) = (request.headers[.ifMatch], request.headers[.ifNoneMatch])
      try await Blocking.run { () throws(Refusal) in
        if ifMatch != nil || ifNoneMatch != nil {
          let etag = FileHeaders.etag(try tree.file(path).status)
          try Request.check(ifMatch: ifMatch, ifNoneMatch: ifNoneMatch, etag)
        }
        try tree.remove(path)
      }
      return Answer.empty(.noContent)
    }
  }

  /// What follows `/fs/NAME/files/`, as it came.
  private static func path(_ request: Request) throws(Refusal) -> TreePath {
    let parts = request.uri.path.split(
      separator: "/", maxSplits: 4, omittingEmptySubsequences: false)
    return try TreePath(encoded: parts.count == 5 ? parts[4] : "")
  }

  private static func json(_ file: ListedFile) -> JSONValue {
    let metadata = file.metadata.map { ($0.name, JSONValue.string($0.value)) }
    let directory = TreePath.text(file.path.parent)
    return .object([
      "Name": .string(PathText.encode(file.path.name)),
      "FullPath": .string(file.path.text),
      "Directory": .string(directory.isEmpty ? "/" : directory),
      "TotalSize": .count(file.status.size),
      "LastModified": .time(Timestamp(seconds: Double(file.status.modifiedNanoseconds) / 1e9)),
      "Etag": .string(FileHeaders.etag(file.status)),
      "Metadata": .object(Dictionary(metadata) { $1 }),
    ])
  }
}

// MARK: - Upload

extension Routes {
  private static func upload(
    _ request: Request, _ path: TreePath, to tree: FileTree
  ) async throws -> Response {
    let expected = request.headers[.contentLength].flatMap { UInt64($0) }
    let wanted = try request.headers[.contentMD5].map(Self.digest)
    let metadata = FileMetadata.attributes(of: request.headers)
    let (ifMatch, ifNoneMatch) = (request.headers[.ifMatch], request.headers[.ifNoneMatch])
    let upload = try await Blocking.run { () throws(Refusal) in
      try FileUpload(in: tree, path, expectedByteCount: expected) { replaced throws(Refusal) in
        try Request.check(
          ifMatch: ifMatch, ifNoneMatch: ifNoneMatch, replaced.map(FileHeaders.etag))
      }
    }
    var pending = ByteBuffer()
    for try await part in request.body {
      pending.writeImmutableBuffer(part)
      guard pending.readableBytes >= batchByteCount else { continue }
      let batch = pending
      pending = ByteBuffer()
      try await Blocking.run { () throws(Refusal) in try upload.append(batch) }
    }
    // A server that stops ends the body early; what came is not the file.
    try Task.checkCancellation()
    let rest = pending
    let (status, digest) = try await Blocking.run { () throws(Refusal) in
      try upload.append(rest)
      let (digest, byteCount) = upload.summary()
      if let expected, expected != byteCount {
        throw Refusal(
          .badRequest, "Content-Length says \(expected) bytes, and \(byteCount) came.")
      }
      if let wanted, wanted != digest {
        throw Refusal(
          .badRequest,
          "The bytes that came have MD5 \(digest), not the \(wanted) of Content-MD5; send again.")
      }
      return (try upload.publish(metadata, digest: digest), digest)
    }
    let headers = FileHeaders(status, digest: digest)
    return Answer.empty(
      .created,
      headers: [.eTag: headers.etag, .lastModified: headers.lastModified, .contentMD5: digest])
  }

  /// A digest as RavenFS writes it, 32 hexadecimal digits, or in base64 as RFC 1864 says.
  private static func digest(_ text: String) throws(Refusal) -> String {
    let lowered = text.lowercased()
    if lowered.utf8.count == 32,
      lowered.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    {
      return lowered
    }
    guard let bytes = Data(base64Encoded: text), bytes.count == 16 else {
      throw Refusal(.badRequest, "Content-MD5 is neither 32 hexadecimal digits nor base64 of 16.")
    }
    return bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
  }
}

// MARK: - Download

extension Routes {
  private static func send(
    _ path: TreePath, of tree: FileTree, _ request: Request
  ) async throws -> Response {
    let (file, headers) = try await Blocking.run { () throws(Refusal) in
      let (file, status) = try tree.file(path)
      let attributes = try onFile(path.text) { () throws(DiskError) in
        try FileCalls.extendedAttributes(of: file.descriptor, path: path.text)
      }
      let digest = try FileDigest.digest(
        of: file.descriptor, status, attributes: attributes, path: path.text)
      let metadata = FileMetadata.metadata(in: attributes)
      return (file, FileHeaders(status, digest: digest, metadata: metadata))
    }
    if let header = request.headers[.ifMatch], !Request.matches(header, headers.etag) {
      throw Refusal(.preconditionFailed, "The file is not the one that If-Match names.")
    }
    if let header = request.headers[.ifNoneMatch] {
      if Request.matches(header, headers.etag) { return notModified(headers) }
    } else if request.headers[.ifModifiedSince] == headers.lastModified {
      return notModified(headers)
    }
    var range = request.headers[.range]
    if let condition = request.headers[.ifRange],
      condition != headers.etag, condition != headers.lastModified
    {
      range = nil
    }
    var fields = headers.fields(contentType: true)
    switch ByteRange(header: range, size: headers.size) {
    case .whole:
      return Response(
        status: .ok, headers: fields,
        body: body(FileContent(file, path, offset: 0, count: headers.size)))
    case .part(let offset, let count):
      fields[.contentRange] = "bytes \(offset)-\(offset + count - 1)/\(headers.size)"
      // The digest is the whole file's, not the part's.
      fields[.contentMD5] = nil
      return Response(
        status: .partialContent, headers: fields,
        body: body(FileContent(file, path, offset: offset, count: count)))
    case .unsatisfiable:
      throw Refusal(
        .rangeNotSatisfiable, "The file has \(headers.size) bytes; none of them is in that range.",
        headers: [.contentRange: "bytes */\(headers.size)"])
    }
  }

  private static func notModified(_ headers: FileHeaders) -> Response {
    var fields = headers.fields(contentType: false)
    fields[.acceptRanges] = nil
    return Response(status: .notModified, headers: fields)
  }

  private static func body(_ content: FileContent) -> ResponseBody {
    ResponseBody(contentLength: Int(clamping: content.rest)) { writer in
      var content = content
      while let piece = try await content.next() { try await writer.write(piece) }
      try await writer.finish(nil)
    }
  }
}
