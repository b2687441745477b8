import Glibc
package import MuninnDisk

/// The value of an environment variable.
package func environmentVariable(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}

/// What a program left behind.
package struct ProgramResult: Sendable {
  /// The exit code, or 128 and the signal's number where one ended it.
  package let status: Int32
  package let stdout: [UInt8]
  package let stderr: [UInt8]

  package var output: String { String(decoding: stdout, as: UTF8.self) }
  package var errors: String { String(decoding: stderr, as: UTF8.self) }
}

/// Runs a program (found through PATH unless it has a "/") to its end and collects what it prints.
/// Its streams are nameless files, so no amount of output blocks it. Throws where it cannot start.
package func runProgram(
  _ arguments: [String], stdin: [UInt8] = [], environment: [String: String]? = nil
) throws(DiskError) -> ProgramResult {
  let program = arguments.first ?? ""
  let input = try scratchFile(stdin)
  let output = try scratchFile([])
  let errors = try scratchFile([])
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, input.descriptor, 0)
  posix_spawn_file_actions_adddup2(&actions, output.descriptor, 1)
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor, 2)
  var process = pid_t()
  let error = withCStrings(arguments) { argv in
    guard let environment else {
      return posix_spawnp(&process, program, &actions, nil, argv, environ)
    }
    return withCStrings(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }) {
      posix_spawnp(&process, program, &actions, nil, argv, $0)
    }
  }
  guard error == 0 else { throw DiskError(errno: error, operation: "spawn", path: program) }
  var status: CInt = 0
  while waitpid(process, &status, 0) < 0 {
    guard errno == EINTR else {
      throw DiskError(errno: errno, operation: "waitpid", path: program)
    }
  }
  let signal = status & 0x7f
  return ProgramResult(
    status: signal == 0 ? (status >> 8) & 0xff : 128 + signal, stdout: try content(of: output),
    stderr: try content(of: errors))
}

private func scratchFile(_ bytes: [UInt8]) throws(DiskError) -> OpenFile {
  var template = Array("/tmp/muninn-stream-XXXXXX".utf8CString)
  let descriptor = mkstemp(&template)
  guard descriptor >= 0 else {
    throw DiskError(errno: errno, operation: "mkstemp", path: "/tmp")
  }
  // Programs that other threads start must not inherit it.
  _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  let file = OpenFile(adopting: descriptor)
  _ = Glibc.unlink(template)
  var failure: DiskError?
  bytes.withUnsafeBytes { bytes in
    do throws(DiskError) {
      try FileCalls.write(file.descriptor, at: 0, bytes, path: "stdin")
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
  return file
}

private func content(of file: borrowing OpenFile) throws(DiskError) -> [UInt8] {
  let size = try FileCalls.status(of: file.descriptor, path: "output").size
  return try readBytes(file.descriptor, at: 0, count: Int(size), path: "output")
}

private func withCStrings<Result>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
  let copies = strings.map { strdup($0) }
  defer { for copy in copies { free(copy) } }
  return body(copies + [nil])
}
