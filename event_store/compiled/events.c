/* Events as our relay writes them, read straight into columns.
 *
 * What an event may hold comes from its declaration (compiled_events.py makes a Kind of each). Whatever is not exactly
 * so written is not judged here: reading stops, and whoever asked takes the way that judges. So what is read here must
 * be valid there, and mean the same; never the other way round. */
#include "columns.h"
#include "values.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 32, BUCKET_MINUTES = 15 };

enum { TEXT, EXACT, NUMBER, INSTANT, SEQUENCE, OBJECT, LIST };

typedef struct {
    const char *name; /* as it is written: with quotes and colon */
    int64_t name_size;
    const char *exact; /* of EXACT, with quotes */
    int64_t exact_size;
    int64_t kind;
    Bounds bounds; /* of entries, too */
    int64_t is_nullable;
    int64_t is_required;
    int64_t slot;         /* where its value goes; -1: nowhere */
    int64_t first, count; /* fields of OBJECT, or of each entry of LIST */
} Field;

enum { OFFSET, BUCKET, OF_EVENT, OF_ENTRY, FIRST_OF_ENTRIES };

typedef struct {
    int64_t source, slot;
    int64_t is_text, is_nullable;
} Source;

typedef struct {
    const char *head; /* from the opening brace to the comma behind the type */
    int64_t head_size;
    int64_t first, count;                /* the envelope's other fields */
    int64_t first_column, columns;       /* none: the event adds no row */
    int64_t entry_slots;                 /* 0: one row; else a row for each entry of the list */
    int64_t earlier;                     /* the slot of an instant that isn't after the event's own; -1: none */
} Kind;

/* Slots that every event fills. */
enum { TIME, SOURCE, PLACE };

typedef struct {
    const Field *fields;
    const Kind *kinds;
    const Source *columns;
    int64_t kind_count, column_count;
} Schema;

/* Neighbouring records of one source whose sequences go up by one. */
typedef struct {
    int64_t record, sequence, source_at, source_size;
} Run;

typedef struct {
    Schema schema;
    Column *columns;
    int64_t *rows; /* of each kind */
    Value slots[SLOTS];
    Buffer entries; /* Values, entry_slots for each */
    int64_t entry_count, entry_slots;
    Buffer seen; /* int32_t, a hash table of entries */
    Buffer runs, sources;
    int64_t records, sequence;
    int64_t latest_minute;
    const Kind *last;
    Minute minute;
} Reading;

static const char *object(Reading *r, int64_t first, int64_t count, const char *at, const char *end, Value *slots);

static const char *list(Reading *r, const Field *field, const char *at, const char *end) {
    if (at == end || *at++ != '[') return NULL;
    int64_t size = r->entry_slots * (int64_t)sizeof(Value);
    for (;;) {
        Value *entry = room_for(&r->entries, size);
        if (entry == NULL || r->entry_count == field->bounds.most || at == end || *at++ != '{') return NULL;
        memset(entry, 0, (size_t)size);
        at = object(r, field->first, field->count, at, end, entry);
        if (at == NULL || at == end) return NULL;
        r->entries.size += size;
        r->entry_count++;
        if (*at == ']') return r->entry_count >= field->bounds.least ? at + 1 : NULL;
        if (*at++ != ',') return NULL;
    }
}

static const char *value_of(Reading *r, const Field *field, const char *at, const char *end, Value *slots) {
    Value nowhere;
    Value *value = field->slot < 0 ? &nowhere : &slots[field->slot];
    if (field->is_nullable && end - at >= 4 && memcmp(at, "null", 4) == 0) return at + 4;
    value->is_set = 1;
    switch (field->kind) {
    case TEXT: return read_text(&field->bounds, at, end, value);
    case EXACT:
        if (end - at < field->exact_size || memcmp(at, field->exact, (size_t)field->exact_size) != 0) return NULL;
        return at + field->exact_size;
    case NUMBER: return read_number(&field->bounds, at, end, value);
    case INSTANT: return read_instant(&r->minute, at, end, value);
    case SEQUENCE: return read_sequence(at, end, value);
    case OBJECT:
        if (at == end || *at++ != '{') return NULL;
        return object(r, field->first, field->count, at, end, slots);
    case LIST: return list(r, field, at, end);
    default: return NULL;
    }
}

/* Which of an object's fields is named at `at`, looked for from the one behind the last on; -1: none of them. */
static int64_t named(const Field *fields, int64_t count, int64_t from, const char *at, const char *end) {
    for (int64_t step = 0; step < count; step++) {
        int64_t which = from + step < count ? from + step : from + step - count;
        const Field *field = &fields[which];
        if (end - at >= field->name_size && memcmp(at, field->name, (size_t)field->name_size) == 0) return which;
    }
    return -1;
}

/* The rest of an object behind its brace: each of its fields at most once, all that are required, and no other. */
static const char *object(Reading *r, int64_t first, int64_t count, const char *at, const char *end, Value *slots) {
    const Field *fields = r->schema.fields + first;
    uint64_t found = 0;
    for (int64_t next = 0;;) {
        int64_t which = named(fields, count, next, at, end);
        if (which < 0 || found >> which & 1) return NULL;
        found |= (uint64_t)1 << which;
        next = which + 1 < count ? which + 1 : 0;
        at = value_of(r, &fields[which], at + fields[which].name_size, end, slots);
        if (at == NULL || at == end) return NULL;
        if (*at == '}') break;
        if (*at++ != ',') return NULL;
    }
    for (int64_t i = 0; i < count; i++)
        if (fields[i].is_required && !(found >> i & 1)) return NULL;
    return at + 1;
}

static const Kind *kind_at(Reading *r, const char *at, int64_t size) {
    const Kind *kinds = r->schema.kinds, *last = r->last;
    if (last != NULL && size >= last->head_size && memcmp(at, last->head, (size_t)last->head_size) == 0) return last;
    for (int64_t i = 0; i < r->schema.kind_count; i++)
        if (size >= kinds[i].head_size && memcmp(at, kinds[i].head, (size_t)kinds[i].head_size) == 0) return &kinds[i];
    return NULL;
}

static bool is_same(const Value *one, const Value *other) {
    return one->size == other->size && memcmp(one->text, other->text, (size_t)one->size) == 0;
}

/* Writes 1 for each entry whose `slot` none before it has, else 0. */
static bool write_firsts(Reading *r, int64_t slot, int64_t *rows) {
    const Value *entries = (const Value *)r->entries.bytes + slot;
    uint32_t places = 16;
    while (places < 2 * r->entry_count) places *= 2;
    uint32_t mask = places - 1;
    int32_t *table = room_for(&r->seen, (int64_t)(places * sizeof *table));
    if (table == NULL) return false;
    memset(table, 0, places * sizeof *table);
    for (int64_t i = 0; i < r->entry_count; i++) {
        const Value *entry = entries + i * r->entry_slots;
        uint32_t hash = 2166136261u; /* FNV-1a */
        for (int64_t k = 0; k < entry->size; k++) hash = (hash ^ (uint8_t)entry->text[k]) * 16777619u;
        uint32_t at = hash & mask;
        while (table[at] != 0 && !is_same(entry, entries + (table[at] - 1) * r->entry_slots)) at = (at + 1) & mask;
        rows[i] = table[at] == 0;
        if (table[at] == 0) table[at] = (int32_t)i + 1;
    }
    return true;
}

static bool write_texts(Column *column, const Value *value, int64_t step, int64_t rows, uint8_t *views) {
    for (int64_t i = 0; i < rows; i++, value += step)
        if (!view_of(column, value->text, value->size, views + 16 * i)) return false;
    return true;
}

static bool write_column(Reading *r, const Source *source, Column *column, int64_t rows, int64_t offset) {
    int64_t size = rows * (source->is_text ? 16 : 8);
    int64_t *into = room_for(&column->rows, size);
    uint8_t *valid = source->is_nullable ? room_for(&column->valid, rows) : NULL;
    if (into == NULL || (source->is_nullable && valid == NULL)) return false;
    bool is_of_entry = source->source == OF_ENTRY || source->source == FIRST_OF_ENTRIES;
    const Value *value = is_of_entry ? (const Value *)r->entries.bytes + source->slot : &r->slots[source->slot];
    int64_t step = is_of_entry ? r->entry_slots : 0;
    if (source->is_text && !write_texts(column, value, step, rows, (uint8_t *)into)) return false;
    if (source->source == FIRST_OF_ENTRIES && !write_firsts(r, source->slot, into)) return false;
    if (!source->is_text && source->source != FIRST_OF_ENTRIES) {
        int64_t of_event = source->source == OFFSET ? offset : value->number;
        if (source->source == BUCKET) of_event = (of_event - of_event % BUCKET_MINUTES) * 60;
        for (int64_t i = 0; i < rows; i++) into[i] = is_of_entry ? value[i * step].number : of_event;
    }
    if (valid != NULL) {
        memset(valid, value->is_set != 0, (size_t)rows);
        column->valid.size += rows;
    }
    column->rows.size += size;
    return true;
}

static bool write_rows(Reading *r, const Kind *kind, int64_t offset) {
    int64_t rows = kind->entry_slots > 0 ? r->entry_count : 1;
    for (int64_t i = kind->first_column; i < kind->first_column + kind->columns; i++)
        if (!write_column(r, &r->schema.columns[i], &r->columns[i], rows, offset)) return false;
    r->rows[kind - r->schema.kinds] += rows;
    return true;
}

static bool note_place(Reading *r) {
    const Value *source = &r->slots[SOURCE];
    int64_t number = r->slots[PLACE].number;
    bool goes_on = r->runs.size > 0 && number == r->sequence + 1;
    r->sequence = number;
    if (goes_on) {
        const Run *last = (const Run *)(r->runs.bytes + r->runs.size) - 1;
        const uint8_t *known = r->sources.bytes + last->source_at;
        if (source->size == last->source_size && memcmp(source->text, known, (size_t)source->size) == 0) return true;
    }
    Run *run = room_for(&r->runs, sizeof *run);
    void *name = room_for(&r->sources, source->size);
    if (run == NULL || name == NULL) return false;
    *run = (Run){r->records, number, r->sources.size, source->size};
    memcpy(name, source->text, (size_t)source->size);
    r->runs.size += (int64_t)sizeof *run;
    r->sources.size += source->size;
    return true;
}

static bool read_one(Reading *r, const char *at, int64_t size, int64_t offset) {
    const char *end = at + size;
    const Kind *kind = kind_at(r, at, size);
    if (kind == NULL) return false;
    memset(r->slots, 0, sizeof r->slots);
    r->last = kind;
    r->entry_slots = kind->entry_slots;
    r->entries.size = r->entry_count = 0;
    if (object(r, kind->first, kind->count, at + kind->head_size, end, r->slots) != end) return false;
    const Value *time = &r->slots[TIME];
    const Value *earlier = kind->earlier < 0 ? NULL : &r->slots[kind->earlier];
    if (earlier != NULL && earlier->is_set && memcmp(earlier->text, time->text, TIME_LENGTH) > 0) return false;
    if (time->number > r->latest_minute) r->latest_minute = time->number;
    if (!note_place(r) || !write_rows(r, kind, offset)) return false;
    r->records++;
    return true;
}

EXPORTED void countinghouse_drop(Reading *r) {
    if (r == NULL) return;
    for (int64_t i = 0; r->columns != NULL && i < r->schema.column_count; i++) {
        drop(&r->columns[i].rows);
        drop(&r->columns[i].texts);
        drop(&r->columns[i].valid);
    }
    drop(&r->entries);
    drop(&r->seen);
    drop(&r->runs);
    drop(&r->sources);
    free(r->columns);
    free(r->rows);
    free(r);
}

/* Which sources this was made from, so that nobody calls one that was made from others. */
EXPORTED const char *countinghouse_made_from(void) { return MADE_FROM; }

/* NULL where memory is out. `schema` stays where it is until the reading is dropped. */
EXPORTED Reading *countinghouse_begin(const Schema *schema) {
    Reading *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->schema = *schema;
    r->columns = calloc((size_t)schema->column_count + 1, sizeof *r->columns);
    r->rows = calloc((size_t)schema->kind_count + 1, sizeof *r->rows);
    r->latest_minute = -1;
    if (r->columns != NULL && r->rows != NULL) return r;
    countinghouse_drop(r);
    return NULL;
}

/* Reads `count` values, of which the first has `offset`. How many could be read: the one behind them stopped it. */
EXPORTED int64_t countinghouse_read(Reading *r, const char *bytes, const int64_t *starts, const int64_t *sizes,
                                    int64_t count, int64_t offset) {
    for (int64_t i = 0; i < count; i++)
        if (sizes[i] <= 0 || !read_one(r, bytes + starts[i], sizes[i], offset + i)) return i;
    return count;
}

EXPORTED int64_t countinghouse_latest_minute(const Reading *r) { return r->latest_minute; }

EXPORTED int64_t countinghouse_rows(const Reading *r, int64_t kind) { return r->rows[kind]; }

EXPORTED int64_t countinghouse_runs(const Reading *r, const Run **runs, const uint8_t **sources) {
    *runs = (const Run *)r->runs.bytes;
    *sources = r->sources.bytes;
    return r->runs.size / (int64_t)sizeof(Run);
}

static void forget(struct ArrowSchema *schema) { schema->release = NULL; }

/* Hands one column over, once. */
EXPORTED bool countinghouse_column(Reading *r, int64_t kind, int64_t which, struct ArrowSchema *schema,
                                   struct ArrowArray *array) {
    const Source *source = &r->schema.columns[which];
    r->columns[which].is_text = source->is_text;
    memset(schema, 0, sizeof *schema);
    schema->format = source->is_text ? "vu" : "l";
    schema->name = "";
    schema->flags = 2; /* nullable */
    schema->release = forget;
    return hand_over(&r->columns[which], r->rows[kind], array);
}
