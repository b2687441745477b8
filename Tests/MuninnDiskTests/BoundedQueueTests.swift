import MuninnDisk
import MuninnTestSupport
import Synchronization
import Testing

@Suite struct BoundedQueueTests {
  /// Counts its living copies.
  private struct Token: ~Copyable, Sendable {
    static let living = Atomic<Int>(0)
    let value: Int
    init(_ value: Int) {
      self.value = value
      Self.living.add(1, ordering: .relaxed)
    }
    deinit { Self.living.subtract(1, ordering: .relaxed) }
  }

  @Test func keepsOrderAndWraps() {
    let queue = BoundedQueue<Int>(capacity: 3)
    var expected = 0
    for number in 0..<100 {
      #expect(queue.push(number))
      if number % 3 != 0 { continue }
      while let next = queue.tryPop() {
        #expect(next == expected)
        expected += 1
      }
    }
  }

  @Test func tryPushHandsBackWhatDoesNotFit() {
    let queue = BoundedQueue<Int>(capacity: 2)
    #expect(queue.tryPush(1) == nil)
    #expect(queue.tryPush(2) == nil)
    #expect(queue.tryPush(3) == 3)
    #expect(queue.pop() == 1)
    queue.close()
    #expect(queue.tryPush(4) == 4)
    #expect(queue.push(5) == false)
    #expect(queue.pop() == 2)
    #expect(queue.pop() == nil)
    #expect(queue.tryPop() == nil)
  }

  @Test func cancelDropsEverything() {
    let queue = BoundedQueue<Int>(capacity: 4)
    #expect(queue.push(1))
    queue.cancel()
    queue.cancel()
    #expect(queue.pop() == nil)
    #expect(queue.push(2) == false)
  }

  @Test func closeAndCancelWakeWhoWaits() {
    for isCancel in [false, true] {
      let full = BoundedQueue<Int>(capacity: 1)
      _ = full.push(0)
      let empty = BoundedQueue<Int>(capacity: 1)
      let threads = [
        WorkerThread.start(name: "producer") { _ = full.push(1) },
        WorkerThread.start(name: "consumer") { _ = empty.pop() },
      ]
      for queue in [full, empty] {
        if isCancel { queue.cancel() } else { queue.close() }
      }
      for thread in threads { thread.join() }
      #expect(empty.pop() == nil)
    }
  }

  /// Every element comes out once, or is dropped by cancel; none is leaked.
  @Test func losesAndLeaksNothingUnderThreads() {
    var generator = SeededGenerator.printed()
    for round in 0..<10 {
      let queue = BoundedQueue<Token>(capacity: Int(generator.next() % 7) + 1)
      let perProducer = 2000
      let sum = Atomic<Int>(0)
      let isCancelled = round % 3 == 2
      let producersLeft = Atomic<Int>(3)
      WorkerThreads.run(count: 6, name: "queue") { thread in
        if thread < 3 {
          for number in 0..<perProducer {
            _ = queue.push(Token(thread * perProducer + number))
            if isCancelled && thread == 0 && number == 500 { queue.cancel() }
          }
          if producersLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
            queue.close()
          }
        } else {
          while let token = queue.pop() { sum.add(token.value, ordering: .relaxed) }
        }
      }
      let count = 3 * perProducer
      let total = sum.load(ordering: .relaxed)
      if !isCancelled { #expect(total == count * (count - 1) / 2) }
    }
    let living = Token.living.load(ordering: .relaxed)
    #expect(living == 0)
  }

  @Test func dropsWhatIsLeftWithTheQueue() {
    final class Flag: Sendable {
      let count: Atomic<Int> = Atomic(0)
    }
    struct Element: ~Copyable, Sendable {
      let flag: Flag
      deinit { flag.count.add(1, ordering: .relaxed) }
    }
    let flag = Flag()
    do {
      let queue = BoundedQueue<Element>(capacity: 3)
      for _ in 0..<3 { _ = queue.push(Element(flag: flag)) }
      _ = queue.pop()
      _ = queue.push(Element(flag: flag))
    }
    let count = flag.count.load(ordering: .relaxed)
    #expect(count == 4)
  }
}
