/* The records of one of Kafka's batches, found without an object for each
 * (kafka.apache.org/documentation, "Record Batch", format 2). */
#include "columns.h"

#include <stddef.h>

/* A number of up to ten bytes, seven bits each, the sign in the lowest bit; NULL where it doesn't end. */
static const uint8_t *varint(const uint8_t *at, const uint8_t *end, int64_t *number) {
    uint64_t found = 0;
    for (int shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t byte = *at++;
        found |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *number = (int64_t)(found >> 1) ^ -(int64_t)(found & 1);
            return at;
        }
    }
    return NULL;
}

/* A key or a value with its size before it, which is -1 where there is none. */
static const uint8_t *piece(const uint8_t *at, const uint8_t *end, const uint8_t *bytes, int64_t *start, int64_t *size) {
    at = varint(at, end, size);
    if (at == NULL || *size < -1 || *size > end - at) return NULL;
    *start = at - bytes;
    return *size > 0 ? at + *size : at;
}

/* Of `count` records in `bytes`, the first of which begins at `from`: where each one's key and value begin, their sizes,
 * and how much later than the batch's first time it was made, in ms. Its offset must be one more than that of the one
 * before. How many could be read. */
EXPORTED int64_t countinghouse_records(const uint8_t *bytes, int64_t size, int64_t from, int64_t count,
                                       int64_t *key_starts, int64_t *key_sizes, int64_t *value_starts,
                                       int64_t *value_sizes, int64_t *later_ms) {
    const uint8_t *at = bytes + from, *end = bytes + size;
    for (int64_t i = 0; i < count; i++) {
        int64_t length, number, headers;
        at = varint(at, end, &length);
        if (at == NULL || length < 1 || length > end - at) return i;
        const uint8_t *stop = at + length;
        at = varint(at + 1, stop, &later_ms[i]); /* behind the attributes, of which there are none */
        if (at != NULL) at = varint(at, stop, &number);
        if (at == NULL || number != i) return i;
        at = piece(at, stop, bytes, &key_starts[i], &key_sizes[i]);
        if (at != NULL) at = piece(at, stop, bytes, &value_starts[i], &value_sizes[i]);
        if (at != NULL) at = varint(at, stop, &headers);
        if (at == NULL || headers < 0) return i;
        at = stop; /* nobody asks for headers */
    }
    return at == end ? count : count - 1;
}
