import CMuninn
import CReference
import Crypto
import MuninnDisk
import MuninnFormat

/// The measurements of `muninn-bench kernels` over one piece of memory.
struct KernelMeasurements {
  let data: UnsafeRawBufferPointer
  let sizes: mn_chunk_sizes
  let runs: Int

  /// Calls `body` with each chunk in turn, as `next` cuts them.
  private func eachChunk(
    _ next: (UnsafePointer<UInt8>, Int) -> Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) {
    guard let base = data.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
    var start = 0
    while start < data.count {
      let length = next(base + start, data.count - start)
      body(UnsafeRawBufferPointer(rebasing: data[start..<start + length]))
      start += length
    }
  }

  /// A hash of the cut places alone.
  private func cutHash(_ next: (UnsafePointer<UInt8>, Int) -> Int) -> UInt64 {
    var hash: UInt64 = 0
    eachChunk(next) { hash = (hash &+ UInt64($0.count)) &* 0x9E37_79B9_7F4A_7C15 }
    return hash
  }

  func chunking(_ add: (Measurement) -> Void) throws {
    let (minimum, average, maximum) =
      (Int(sizes.minimum), Int(sizes.average), Int(sizes.maximum))
    add(
      Timing.rates("chunk, fastcdc", byteCount: data.count, runs: runs, clock: .thread) {
        var forced = false
        return cutHash { reference_fastcdc_next(minimum, average, maximum, $0, $1, &forced) }
      })
    add(
      Timing.rates("chunk, fastcdc unrolled", byteCount: data.count, runs: runs, clock: .thread) {
        var forced = false
        return cutHash {
          reference_fastcdc_next_unrolled(minimum, average, maximum, $0, $1, &forced)
        }
      })
    for index in 0..<UInt32(MN_KERNEL_COUNT) {
      let kernel = mn_kernel(rawValue: index)
      guard mn_kernel_usable(kernel) else { continue }
      let name = "chunk, muninn \(String(cString: mn_kernel_name(kernel)))"
      add(
        Timing.rates(name, byteCount: data.count, runs: runs, clock: .thread) {
          cutHash { mn_chunk_next_using(kernel, sizes, $0, $1, nil) }
        })
    }
  }

  func identities(_ add: (Measurement) -> Void) throws {
    let identifying = try Identifying(
      secret: [UInt8](repeating: 0x5A, count: Int(MN_SECRET_SIZE)),
      tagKey: [UInt8](repeating: 0xA5, count: 32))
    let next: (UnsafePointer<UInt8>, Int) -> Int = { mn_chunk_next(sizes, $0, $1) }
    add(
      Timing.rates("fingerprint (XXH3-128)", byteCount: data.count, runs: runs, clock: .thread) {
        pieces(Int(sizes.average)) { identifying.fingerprint(of: $0).low }
      })
    add(
      Timing.rates("tag (GMAC)", byteCount: data.count, runs: runs, clock: .thread) {
        pieces(Int(sizes.average)) { identifying.tag(of: $0).low }
      })
    for size in [64, 1024, 4096, 16_384] where size <= data.count {
      let calls = min(data.count, 1 << 20) / size
      add(tagCost(identifying, size: size, calls: calls))
    }
    add(
      Timing.rates("chunk + fingerprint + tag", byteCount: data.count, runs: runs, clock: .thread) {
        var hash: UInt64 = 0
        eachChunk(next) {
          let identity = identifying.identity(of: $0)
          hash = (hash ^ identity.fingerprint.low ^ identity.tag.low) &* 0x9E37_79B9_7F4A_7C15
        }
        return hash
      })
    add(
      Timing.rates("sha-256", byteCount: data.count, runs: runs, clock: .thread) {
        pieces(Int(sizes.average)) { piece in
          SHA256.hash(data: piece).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        }
      })
  }

  /// Microseconds of one tag over `size` bytes in cache.
  private func tagCost(_ identifying: Identifying, size: Int, calls: Int) -> Measurement {
    let part = UnsafeRawBufferPointer(rebasing: data[..<(calls * size)])
    let rates = Timing.rates("tag of \(size) bytes", byteCount: calls, runs: runs, clock: .thread) {
      var hash: UInt64 = 0
      for call in 0..<calls {
        let piece = UnsafeRawBufferPointer(rebasing: part[(call * size)..<((call + 1) * size)])
        hash ^= identifying.tag(of: piece).low
      }
      return hash
    }
    return Measurement(
      name: rates.name, unit: "us", values: rates.values.map { 1 / ($0 * 1000) },
      resultHash: rates.resultHash)
  }

  /// Pieces of one size, hashed and mixed.
  private func pieces(_ size: Int, _ body: (UnsafeRawBufferPointer) -> UInt64) -> UInt64 {
    var hash: UInt64 = 0
    var start = 0
    while start < data.count {
      let end = min(start + size, data.count)
      hash ^= body(UnsafeRawBufferPointer(rebasing: data[start..<end]))
      hash &*= 0x9E37_79B9_7F4A_7C15
      start = end
    }
    return hash
  }

  func compression(levels: [Int32], _ add: (Measurement) -> Void) {
    let blockSize = 256 << 10
    for level in levels {
      // The slow levels need no more than a part of the data to be measured.
      let limit = level == 1 ? 64 << 20 : 8 << 20
      let part = UnsafeRawBufferPointer(rebasing: data[..<min(data.count, limit)])
      let scratch = Buffer(capacity: mn_compress_scratch_size(level))
      let target = Buffer(capacity: mn_compress_bound(blockSize))
      var stored = 0
      let rate = Timing.rates(
        "compress level \(level)", byteCount: part.count, runs: runs, clock: .thread
      ) {
        stored = 0
        Blocks.each(of: part, size: blockSize) { block in
          let size = Blocks.compress(
            block, into: target.bytes, level: level, scratch: scratch.bytes)
          stored += size > 0 ? size : block.count
        }
        return UInt64(stored)
      }
      add(rate)
      add(
        Measurement(
          name: "stored share at level \(level)", unit: "of raw",
          values: [Double(stored) / Double(part.count)], resultHash: rate.resultHash))
    }
    add(
      Timing.rates(
        "probe for incompressible data", byteCount: data.count, runs: runs, clock: .thread
      ) {
        var found: UInt64 = 0
        Blocks.each(of: data, size: blockSize) { block in
          let bytes = block.assumingMemoryBound(to: UInt8.self)
          if mn_looks_incompressible(bytes.baseAddress, bytes.count) { found += 1 }
        }
        return found
      })
    add(decompression(blockSize: blockSize))
  }

  private func decompression(blockSize: Int) -> Measurement {
    let part = UnsafeRawBufferPointer(rebasing: data[..<min(data.count, 64 << 20)])
    let scratch = Buffer(capacity: mn_compress_scratch_size(1))
    let target = Buffer(capacity: mn_compress_bound(blockSize))
    let back = Buffer(capacity: blockSize)
    var blocks: [(bytes: [UInt8], length: Int)] = []
    Blocks.each(of: part, size: blockSize) { block in
      let size = Blocks.compress(block, into: target.bytes, level: 1, scratch: scratch.bytes)
      blocks.append(([UInt8](target.bytes.prefix(size)), block.count))
    }
    let output = back.bytes.assumingMemoryBound(to: UInt8.self)
    return Timing.rates("decompress", byteCount: part.count, runs: runs, clock: .thread) {
      var good: UInt64 = 0
      for block in blocks {
        let done = block.bytes.withUnsafeBufferPointer {
          mn_decompress($0.baseAddress, $0.count, output.baseAddress, block.length)
        }
        if done { good += 1 }
      }
      return good
    }
  }
}

/// Pieces of one size, compressed alone.
enum Blocks {
  static func each(
    of data: UnsafeRawBufferPointer, size: Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) {
    var start = 0
    while start < data.count {
      let end = min(start + size, data.count)
      body(UnsafeRawBufferPointer(rebasing: data[start..<end]))
      start = end
    }
  }

  /// The compressed size, 0 where it does not fit.
  static func compress(
    _ block: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, level: Int32,
    scratch: UnsafeMutableRawBufferPointer
  ) -> Int {
    mn_compress(
      block.assumingMemoryBound(to: UInt8.self).baseAddress, block.count,
      target.assumingMemoryBound(to: UInt8.self).baseAddress, target.count, level,
      scratch.baseAddress)
  }
}
