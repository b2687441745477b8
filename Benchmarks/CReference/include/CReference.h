// What Muninn's chunker is measured against, compiled with the same flags.
#ifndef CREFERENCE_H
#define CREFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reading.h"

/// Length in bytes of the chunk that begins at data[0], as FastCDC cuts it (Xia et al., USENIX ATC
/// 2016): a 64-bit gear hash that starts anew in each chunk behind `minimum`, normalised at level
/// 2. The masks are the hash's highest bits, where a gear hash is best. `average` decides the
/// number of mask bits, rounded to a whole one, and is the normal point. `forced` becomes true
/// where the chunk has `maximum` bytes because no place was a cut.
size_t reference_fastcdc_next(size_t minimum, size_t average, size_t maximum, const uint8_t *data,
                              size_t length, bool *forced);

/// The same cuts, with the loop unrolled four times.
size_t reference_fastcdc_next_unrolled(size_t minimum, size_t average, size_t maximum,
                                       const uint8_t *data, size_t length, bool *forced);

#endif
