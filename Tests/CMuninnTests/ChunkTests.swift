import CMuninn
import Testing

@Suite struct ChunkTests {
  @Test func sizesAreChecked() {
    let good = mn_chunk_sizes(minimum: 64, average: 256, maximum: 1024)
    #expect(mn_chunk_sizes_valid(good))
    #expect(!mn_chunk_sizes_valid(mn_chunk_sizes(minimum: 63, average: 256, maximum: 1024)))
    #expect(!mn_chunk_sizes_valid(mn_chunk_sizes(minimum: 256, average: 256, maximum: 1024)))
    #expect(!mn_chunk_sizes_valid(mn_chunk_sizes(minimum: 64, average: 256, maximum: 256)))
    #expect(!mn_chunk_sizes_valid(mn_chunk_sizes(minimum: 64, average: 256, maximum: (16 << 20) + 1)))
  }
}
