package import Hummingbird

/// All routes of the server, by subject.
package struct Routes {
  let core: ServerCore

  package init(core: ServerCore) { self.core = core }

  package func router() -> Router<ServerContext> {
    let router = Router(context: ServerContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: ErrorAnswers(logger: core.logger))
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
    router.get("health") { _, _ in try Answer.json(.object(["Status": .string("ok")])) }
  }
}
