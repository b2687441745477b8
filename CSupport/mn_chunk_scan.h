// The frame of every vector kernel. The including file defines, all for its own instruction set:
//   KERNEL_NAME     the function to define
//   KERNEL_TARGET   its target attribute, or nothing
//   kernel_state    what a step hands to the next one
//   kernel_start    a zero state with the tables loaded
//   kernel_step     the 64 bits "is a candidate" of the places at + 1 ... at + 64; reads
//                   at[-3 ..< 64], and through the state the 64 bytes before those
#include "mn_chunk_definition.h"

/// A step reads 3 bytes before its own, and a first step warms up on 64 places: the first place
/// that has all that.
#define FIRST_WARM (64 + 3 + 1)

/// Appends the places of a mask, as offsets. Mostly there is none or one, so that these cost no
/// branch.
static inline __attribute__((always_inline)) KERNEL_TARGET size_t
append(uint32_t *list, size_t count, uint32_t base, uint64_t mask) {
  list[count] = base + (uint32_t)__builtin_ctzll(mask | (uint64_t)1 << 63);
  count += mask != 0;
  mask &= mask - 1;
  while (__builtin_expect(mask != 0, 0)) {
    list[count++] = base + (uint32_t)__builtin_ctzll(mask);
    mask &= mask - 1;
  }
  return count;
}

KERNEL_TARGET size_t KERNEL_NAME(mn_search *search, const uint8_t *data, size_t from, size_t end) {
  if (from < FIRST_WARM) {
    size_t border = end < FIRST_WARM ? end : FIRST_WARM;
    size_t cut = mn_scan_portable(search, data, from, border);
    if (cut != 0 || border == end) return cut;
    from = border;
  }
  uint32_t candidates[MN_STRETCH + 1];
  kernel_state state = kernel_start();
  size_t place = from;
  if (end - place >= 64) kernel_step(&state, data + place - 1 - 64);
  while (end - place >= 64) {
    size_t stretch = (end - place) & ~(size_t)63;
    if (stretch > MN_STRETCH) stretch = MN_STRETCH;
    size_t found = 0;
    for (size_t k = 0; k < stretch; k += 64) {
      found = append(candidates, found, (uint32_t)k, kernel_step(&state, data + place + k - 1));
    }
    size_t cut = mn_decide(search, data, place, candidates, found);
    if (cut != 0) return cut;
    place += stretch;
  }
  if (place == end) return 0;
  // The last places: a step that ends with them, if the data before them reach for it.
  if (end - 64 < FIRST_WARM) return mn_scan_portable(search, data, place, end);
  size_t last = end - 64;
  state = kernel_start();
  kernel_step(&state, data + last - 1 - 64);
  uint64_t mask = kernel_step(&state, data + last - 1) >> (place - last);
  size_t found = append(candidates, 0, 0, mask);
  return mn_decide(search, data, place, candidates, found);
}
