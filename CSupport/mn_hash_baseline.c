// What every processor of the architecture has: SSE2 on x86-64, NEON on AArch64.
#define KERNEL_FINGERPRINT mn_fingerprint_baseline
#define KERNEL_CHECKSUM mn_checksum_baseline
#include "mn_hash_kernel.h"
