import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Cuts off clients that hold a connection without getting on: a body that hardly comes, a response
/// that is hardly read, a body that no route wants and that does not end.
///
/// How long a request's head may take, and how long a connection may idle, is the library's idle
/// timeout. Time in which this server, not the client, is what the other waits for does not count.
final class PaceGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// Bytes a second below which a body counts as stalled.
  private static let rate = 256
  /// Stalled windows, one after the other, until the connection is closed.
  private static let patience = 3
  /// Bytes of a body that is no upload: more than any route reads, so that an error gets through.
  private static let bodyLimit = 8 << 20

  private let window: TimeAmount
  private var timer: RepeatedTask?

  private var isReading = false
  private var isUpload = false
  private var bodyByteCount = 0
  /// Whether more was asked of the client and nothing came yet.
  private var isWanting = false
  private var windowByteCount = 0
  private var slowReads = 0

  private var pendingWrites = 0
  private var windowWrites = 0
  private var slowWrites = 0

  init(window: TimeAmount) { self.window = window }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { start(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    start(context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    stop()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { stop() }

  private func stop() {
    timer?.cancel()
    timer = nil
  }

  private func start(_ context: ChannelHandlerContext) {
    guard timer == nil else { return }
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleRepeatedTask(initialDelay: window, delay: window) { _ in
      let (guardian, context) = bound.value
      guardian.look(context)
    }
  }

  private func look(_ context: ChannelHandlerContext) {
    let wanted = Self.rate * Int(window.nanoseconds / 1_000_000_000)
    let isSlowToSend = isReading && isWanting && windowByteCount < max(wanted, 1)
    slowReads = isSlowToSend ? slowReads + 1 : 0
    slowWrites = pendingWrites > 0 && windowWrites == 0 ? slowWrites + 1 : 0
    windowByteCount = 0
    windowWrites = 0
    if slowReads >= Self.patience || slowWrites >= Self.patience { context.close(promise: nil) }
  }

  func read(context: ChannelHandlerContext) {
    isWanting = true
    context.read()
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isWanting = false
    context.fireChannelReadComplete()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      isReading = true
      bodyByteCount = 0
      isUpload = head.method == .put && (head.path ?? "").contains("/files/")
    case .body(let buffer):
      windowByteCount += buffer.readableBytes
      bodyByteCount += buffer.readableBytes
      if !isUpload, bodyByteCount > Self.bodyLimit {
        context.close(promise: nil)
        return
      }
    case .end:
      isReading = false
      slowReads = 0
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let done = promise ?? context.eventLoop.makePromise(of: Void.self)
    pendingWrites += 1
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    done.futureResult.whenComplete { _ in
      bound.value.pendingWrites -= 1
      bound.value.windowWrites += 1
    }
    context.write(data, promise: done)
  }
}

@available(*, unavailable)
extension PaceGuard: Sendable {}
