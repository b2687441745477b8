extension APIDescription {
  private static let page: [Parameter] = [
    .number("start", "How many to leave out"), .number("pageSize", "How many at most, up to 1024"),
  ]
  private static let identifier: [Parameter] = [
    .number("id", "The operation's number", minimum: 1, isRequired: true)
  ]
  private static let item: [Parameter] = [
    .text(
      "name", "The item's name; matches ignoring case", isRequired: true,
      example: "Raven/Synchronization/Destinations")
  ]

  /// Everything that the router routes.
  package static let operations: [Operation] =
    fileSystemOperations + fileOperations + backupOperations + operationOperations + otherOperations

  private static let fileSystemOperations: [Operation] = [
    Operation("get", "/fs", "The names of all file systems", 200, .list("Name")),
    Operation(
      "get", "/fs/{name}/stats", "Counts, last backup, what runs", 200, .json("Statistics")),
    Operation(
      "put", "/admin/fs/{name}", "Makes a file system, or changes its settings",
      query: [.flag("update", "Whether it may exist")], body: .json("Document"), 201,
      errors: [409]),
    Operation(
      "delete", "/admin/fs/{name}", "Forgets a file system",
      query: [
        .flag("hard-delete", "Whether its files go too"),
        .text("data-directory", "A directory that the server did not make and that may go"),
      ], 204, errors: [409]),
    Operation(
      "get", "/fs/{name}/config", "A configuration item, or without a name the names of all",
      query: [.text("name", "The item's name; matches ignoring case")], 200,
      .json("ItemOrNames")),
    Operation(
      "put", "/fs/{name}/config", "Makes or replaces a configuration item", query: item,
      body: .json("Item"), 201),
    Operation(
      "delete", "/fs/{name}/config", "Removes a configuration item", query: item, 204,
      errors: [409]),
  ]

  private static let fileOperations: [Operation] = [
    Operation(
      "get", "/fs/{name}/files", "The files of a file system, in path order",
      query: [.text("startsWith", "What their paths begin with")] + page, 200, .list("File"),
      errors: [409]),
    Operation(
      "get", "/fs/{name}/files/{path}", "The content of a file, or a part of it", 200, .bytes,
      errors: [206, 304, 409, 412, 416]),
    Operation(
      "put", "/fs/{name}/files/{path}", "Makes or replaces a file as a whole", body: .bytes, 201,
      errors: [409, 412]),
    Operation(
      "delete", "/fs/{name}/files/{path}", "Removes a file", 204, errors: [409, 412]),
  ]

  private static let backupOperations: [Operation] = [
    Operation(
      "post", "/fs/{name}/admin/backup", "Starts a backup",
      query: [.flag("incremental", "Whether unchanged files are taken over unread")],
      body: .json("BackupRequest"), 201, errors: [409, 422]),
    Operation(
      "get", "/fs/{name}/admin/backups", "The snapshots in a location",
      query: [
        .text("location", "The directory", isRequired: true, example: "~/backup/NorthwindFS")
      ], 200, .list("Snapshot"), errors: [409, 422]),
    Operation(
      "post", "/admin/fs/restore", "Starts a restore",
      query: [.flag("defrag", "Overrides Defrag of the body")], body: .json("RestoreRequest"), 200,
      .json("OperationId"), errors: [409, 422]),
    Operation(
      "post", "/admin/fs-restore", "Starts a restore",
      query: [.flag("defrag", "Overrides Defrag of the body")], body: .json("RestoreRequest"), 200,
      .json("OperationId"), errors: [409, 422]),
    Operation(
      "get", "/docs/Raven/FileSystem/Restore/Status/{name}", "The newest restore to a name", 200,
      .json("RestoreStatus")),
    Operation(
      "post", "/admin/fs/verify", "Starts a verification of a location",
      body: .json("VerifyRequest"), 200, .json("OperationId"), errors: [409, 422]),
    Operation(
      "post", "/admin/fs/prune", "Starts freeing what no snapshot needs",
      body: .json("PruneRequest"), 200, .json("OperationId"), errors: [409, 422]),
    Operation(
      "post", "/admin/fs/defrag", "Starts rewriting a location so that restores read it in order",
      body: .json("DefragRequest"), 200, .json("OperationId"), errors: [409, 422]),
  ]

  private static let operationOperations: [Operation] = [
    Operation(
      "get", "/operation/status", "How an operation stands", query: identifier, 200,
      .json("OperationStatus")),
    Operation(
      "get", "/operation/events", "How an operation goes on, as server-sent events",
      query: identifier, 200, .events("OperationEvent")),
    Operation("get", "/operation/kill", "Cancels an operation", query: identifier),
    Operation("post", "/operation/kill", "Cancels an operation", query: identifier),
    Operation(
      "get", "/operations", "All operations, newest first", query: page, 200,
      .list("OperationSummary")),
  ]

  private static let otherOperations: [Operation] = [
    Operation("get", "/health", "Whether the server lives; needs no key", 200, .json("Health")),
    Operation("get", "/metrics", "Metrics for Prometheus", 200, .text("text/plain")),
    Operation("get", "/openapi.json", "This description", 200, .json("Item")),
  ]
}
