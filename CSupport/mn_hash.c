// Fingerprints and checksums. XXH3 is compiled into this file alone, so that no symbol of xxHash is needed at run time.
#include "CMuninn.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(MN_SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "XXH3 needs a longer secret");

mn_fingerprint mn_fingerprint_of(const uint8_t *secret, const uint8_t *data, size_t length) {
  XXH128_hash_t hash = XXH3_128bits_withSecret(data, length, secret, MN_SECRET_SIZE);
  return (mn_fingerprint){.low = hash.low64, .high = hash.high64};
}

uint64_t mn_checksum(const uint8_t *data, size_t length) { return XXH3_64bits(data, length); }
