#include "columns.h"

#include <stdlib.h>
#include <string.h>

enum { VIEW = 16, INLINE = 12, MOST_BUFFERS = 4 };

/* What an exported array owns. */
typedef struct {
    const void *buffers[MOST_BUFFERS];
    int64_t text_sizes[1];
    void *owned[3];
} Handed;

void *room_for(Buffer *buffer, int64_t more) {
    int64_t needed = buffer->size + more;
    if (needed > buffer->room) {
        int64_t room = buffer->room * 2 > needed ? buffer->room * 2 : needed + 256;
        uint8_t *bytes = realloc(buffer->bytes, (size_t)room);
        if (bytes == NULL) return NULL;
        buffer->bytes = bytes;
        buffer->room = room;
    }
    return buffer->bytes + buffer->size;
}

void drop(Buffer *buffer) {
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

bool view_of(Column *column, const char *text, int64_t size, uint8_t view[16]) {
    int32_t head = (int32_t)size;
    memset(view, 0, VIEW);
    memcpy(view, &head, sizeof head);
    if (size <= INLINE) {
        memcpy(view + 4, text, (size_t)size);
        return true;
    }
    if (column->texts.size + size > INT32_MAX) return false;
    void *kept = room_for(&column->texts, size);
    if (kept == NULL) return false;
    int32_t at = (int32_t)column->texts.size;
    memcpy(kept, text, (size_t)size);
    column->texts.size += size;
    memcpy(view + 4, text, 4);
    memcpy(view + 12, &at, sizeof at);
    return true;
}

static void release(struct ArrowArray *array) {
    Handed *handed = array->private_data;
    for (int i = 0; i < 3; i++) free(handed->owned[i]);
    free(handed);
    array->release = NULL;
}

/* The bytes of `valid` as bits, in place; returns how many are 0. */
static int64_t pack(uint8_t *valid, int64_t rows) {
    int64_t nulls = 0;
    for (int64_t start = 0; start < rows; start += 8) {
        uint8_t bits = 0;
        for (int64_t i = start; i < rows && i < start + 8; i++) {
            bits |= (uint8_t)((valid[i] != 0) << (i - start));
            nulls += valid[i] == 0;
        }
        valid[start / 8] = bits;
    }
    return nulls;
}

/* The memory of a buffer, which nobody may take for missing because it is empty. */
static void *taken(Buffer *buffer) {
    void *bytes = buffer->bytes != NULL ? buffer->bytes : malloc(1);
    memset(buffer, 0, sizeof *buffer);
    return bytes;
}

bool hand_over(Column *column, int64_t rows, struct ArrowArray *array) {
    Handed *handed = calloc(1, sizeof *handed);
    if (handed == NULL) return false;
    int64_t nulls = column->valid.size > 0 ? pack(column->valid.bytes, rows) : 0;
    handed->text_sizes[0] = column->texts.size;
    if (column->valid.size > 0) handed->owned[0] = taken(&column->valid);
    handed->owned[1] = taken(&column->rows);
    handed->owned[2] = taken(&column->texts);
    handed->buffers[0] = handed->owned[0];
    handed->buffers[1] = handed->owned[1];
    handed->buffers[2] = handed->owned[2];
    handed->buffers[3] = handed->text_sizes;
    memset(array, 0, sizeof *array);
    array->length = rows;
    array->null_count = nulls;
    array->n_buffers = column->is_text ? 4 : 2;
    array->buffers = handed->buffers;
    array->release = release;
    array->private_data = handed;
    if (handed->owned[1] != NULL && handed->owned[2] != NULL) return true;
    release(array);
    return false;
}
