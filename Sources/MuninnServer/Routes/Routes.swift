package import Hummingbird

/// All routes of the server, by subject.
package struct Routes {
  let core: ServerCore

  package init(core: ServerCore) { self.core = core }

  package func router() -> Router<BasicRequestContext> {
    let router = Router(context: BasicRequestContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: ErrorAnswers(logger: core.logger))
    addBackup(to: router)
    addRestore(to: router)
    addOperations(to: router)
    addFileSystems(to: router)
    addConfiguration(to: router)
    addHealth(to: router)
    return router
  }

  private func addHealth(to router: Router<BasicRequestContext>) {
    router.get("health") { _, _ in try Answer.json(.object(["Status": .string("ok")])) }
  }
}
