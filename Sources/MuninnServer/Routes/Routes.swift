import HTTPTypes
package import Hummingbird
import NIOCore

/// All routes of the server, by subject.
package struct Routes {
  let core: ServerCore

  package init(core: ServerCore) { self.core = core }

  package func router() -> Router<ServerContext> {
    let router = Router(context: ServerContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: MetricsMiddleware<ServerContext>())
    router.add(middleware: Audit(log: core.audit, logger: core.logger))
    router.add(middleware: ErrorAnswers(logger: core.logger))
    router.add(middleware: AccessControl(settings: core.settings))
    addBackup(to: router)
    addRestore(to: router)
    addOperations(to: router)
    addFileSystems(to: router)
    addConfiguration(to: router)
    addFiles(to: router)
    addLocations(to: router)
    addEvents(to: router)
    addHealth(to: router)
    return router
  }

  private func addHealth(to router: Router<ServerContext>) {
    let core = core
    router.get("metrics") { _, _ in
      try await core.updateMetrics()
      return Response(
        status: .ok,
        headers: [
          .contentType: "text/plain; version=0.0.4; charset=utf-8", .cacheControl: "no-cache",
        ],
        body: ResponseBody(byteBuffer: ByteBuffer(string: PrometheusMetrics.shared.text)))
    }
    router.get("openapi.json") { _, _ in try Answer.json(APIDescription.document()) }
    router.get("health") { _, _ in try Answer.json(.object(["Status": .string("ok")])) }
  }
}
