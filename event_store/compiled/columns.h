/* Columns that grow row by row and are handed over in the Arrow C data interface
 * (arrow.apache.org/docs/format/CDataInterface.html). */
#ifndef COUNTINGHOUSE_COLUMNS_H
#define COUNTINGHOUSE_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

typedef struct {
    uint8_t *bytes;
    int64_t size, room;
} Buffer;

/* Where `more` bytes may be written behind the buffer's end, which the caller then moves; NULL where memory is out. */
void *room_for(Buffer *buffer, int64_t more);
void drop(Buffer *buffer);

typedef struct {
    bool is_text;
    Buffer rows;  /* int64_t each, or a string view of 16 bytes */
    Buffer texts; /* what is too long for a view to hold */
    Buffer valid; /* a byte for each row, 0 where it is null; empty where none is */
} Column;

/* A string of at most 2^31 bytes as the view of it that Arrow defines; false where there is no room. */
bool view_of(Column *column, const char *text, int64_t size, uint8_t view[16]);

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* Hands the column's memory over to `array`, whose owner releases it; the column is empty afterwards. */
bool hand_over(Column *column, int64_t rows, struct ArrowArray *array);

#endif
