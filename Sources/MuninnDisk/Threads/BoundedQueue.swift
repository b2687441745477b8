/// A blocking first-in first-out queue of fixed capacity, for any number of producers and
/// consumers.
///
/// It is the only thing between two stages: a full queue holds the producer back. `close` ends it
/// in good order (what is in it is still handed out), `cancel` at once (what is in it is dropped).
///
/// `@unchecked Sendable`: all state below `lock` is touched only while it is held, with one
/// exception that `cancel` explains.
package final class BoundedQueue<Element: ~Copyable & Sendable>: @unchecked Sendable {
  package let capacity: Int
  private let slots: UnsafeMutablePointer<Element>
  private let lock = Lock()
  private let notFull = Condition()
  private let notEmpty = Condition()

  // Elements are in `slots`, `count` of them from `head` on, wrapping round.
  private var head = 0
  private var count = 0
  private var isClosed = false
  private var isCancelled = false

  package init(capacity: Int) {
    precondition(capacity > 0, "a queue holds at least one element")
    self.capacity = capacity
    slots = .allocate(capacity: capacity)
  }

  deinit {
    Self.destroy(slots, capacity, from: head, count: count)
    slots.deallocate()
  }

  /// Blocks while the queue is full. Returns false, and drops the element, once it is closed.
  package func push(_ element: consuming Element) -> Bool {
    lock.lock()
    while count == capacity && !isClosed { lock.wait(for: notFull) }
    guard !isClosed else {
      lock.unlock()
      return false
    }
    append(element)
    lock.unlock()
    notEmpty.signal()
    return true
  }

  /// Never blocks. Returns nil when it took the element, and the element when full or closed.
  package func tryPush(_ element: consuming Element) -> Element? {
    lock.lock()
    guard count < capacity && !isClosed else {
      lock.unlock()
      return element
    }
    append(element)
    lock.unlock()
    notEmpty.signal()
    return nil
  }

  /// Blocks while the queue is empty. Returns nil when it is closed and drained, or cancelled.
  package func pop() -> Element? {
    lock.lock()
    while count == 0 && !isClosed { lock.wait(for: notEmpty) }
    return takeFirstAndUnlock()
  }

  /// Never blocks. Returns nil when there is nothing now.
  package func tryPop() -> Element? {
    lock.lock()
    return takeFirstAndUnlock()
  }

  /// No more pushes; what is in the queue is still handed out.
  package func close() {
    lock.lock()
    isClosed = true
    lock.unlock()
    wakeAll()
  }

  /// No more pushes, and what is in the queue is dropped. Wakes everyone who waits.
  package func cancel() {
    lock.lock()
    isClosed = true
    let first = isCancelled ? 0 : head
    let dropped = isCancelled ? 0 : count
    isCancelled = true
    count = 0
    lock.unlock()
    wakeAll()
    // A closed and empty queue never touches its slots again, so these elements are ours alone, and
    // their deinits run without the lock: they may well hand a buffer to another queue.
    Self.destroy(slots, capacity, from: first, count: dropped)
  }

  private func append(_ element: consuming Element) {
    let tail = head + count < capacity ? head + count : head + count - capacity
    (slots + tail).initialize(to: element)
    count += 1
  }

  private func takeFirstAndUnlock() -> Element? {
    guard count > 0 else {
      lock.unlock()
      return nil
    }
    let element = (slots + head).move()
    head = head + 1 < capacity ? head + 1 : 0
    count -= 1
    lock.unlock()
    notFull.signal()
    return element
  }

  private func wakeAll() {
    notFull.broadcast()
    notEmpty.broadcast()
  }

  private static func destroy(
    _ slots: UnsafeMutablePointer<Element>, _ capacity: Int, from head: Int, count: Int
  ) {
    for offset in 0..<count {
      (slots + (head + offset) % capacity).deinitialize(count: 1)
    }
  }
}
