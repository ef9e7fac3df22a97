/* The values of JSON that events are made of, in the one way in which we write each. A reader begins at `at` and returns
 * what lies behind the value, or NULL where there is none that it takes. */
#ifndef COUNTINGHOUSE_VALUES_H
#define COUNTINGHOUSE_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TIME_LENGTH = 27, MINUTE_LENGTH = 16, SEQUENCE_DIGITS = 16 };

typedef struct {
    const char *text;
    int64_t size;
    int64_t number;
    int64_t is_set;
} Value;

typedef struct {
    int64_t least, most; /* characters of a text, or numbers */
    int64_t never;       /* a number between them that is none of them */
} Bounds;

/* The minute of the last instant that was read: most have that of the one before. */
typedef struct {
    char text[MINUTE_LENGTH];
    int64_t minute;
} Minute;

static inline bool is_plain(uint8_t byte) { return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\'; }

/* The first byte that isn't plain. Of eight at a time, none is where none of the tests sets a highest bit; a borrow may
 * set one more, which costs a closer look. */
static inline const char *past_plain(const char *at, const char *end) {
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        uint64_t odd = (word - ones * 0x20) | (quote - ones) | (slash - ones) | word;
        if (odd & tops) break;
        at += 8;
    }
    while (at < end && is_plain((uint8_t)*at)) at++;
    return at;
}

/* How many bytes the character at `at` takes, which isn't ASCII; 0 where it is no UTF-8 (RFC 3629, section 4). */
static inline int64_t wide(const char *text, const char *end) {
    const uint8_t *at = (const uint8_t *)text;
    int64_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || end - text < size) return 0;
    uint8_t least = 0x80, most = 0xbf;
    if (at[0] == 0xe0) least = 0xa0;
    if (at[0] == 0xed) most = 0x9f;
    if (at[0] == 0xf0) least = 0x90;
    if (at[0] == 0xf4) most = 0x8f;
    if (at[1] < least || at[1] > most) return 0;
    for (int64_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    return size;
}

static inline const char *read_text(const Bounds *bounds, const char *at, const char *end, Value *value) {
    if (at == end || *at != '"') return NULL;
    const char *start = ++at;
    int64_t characters = 0;
    for (;;) {
        const char *stop = past_plain(at, end);
        characters += stop - at;
        at = stop;
        if (at == end) return NULL;
        if (*at == '"') break;
        int64_t size = (uint8_t)*at < 0x80 ? 0 : wide(at, end);
        if (size == 0) return NULL;
        characters++;
        at += size;
    }
    if (characters < bounds->least || characters > bounds->most) return NULL;
    value->text = start;
    value->size = at - start;
    return at + 1;
}

static inline const char *read_number(const Bounds *bounds, const char *at, const char *end, Value *value) {
    bool is_negative = at < end && *at == '-';
    at += is_negative;
    const char *start = at;
    int64_t found = 0;
    while (at < end && *at >= '0' && *at <= '9' && at - start < 18) found = found * 10 + (*at++ - '0');
    if (at == start || (*start == '0' && at - start > 1) || (is_negative && found == 0)) return NULL;
    if (at < end && ((*at >= '0' && *at <= '9') || *at == '.' || *at == 'e' || *at == 'E')) return NULL;
    value->number = is_negative ? -found : found;
    bool is_within = value->number >= bounds->least && value->number <= bounds->most && value->number != bounds->never;
    return is_within ? at : NULL;
}

static inline int64_t two_digits(const char *at) { return (at[0] - '0') * 10 + (at[1] - '0'); }

static inline int64_t days_of(int64_t year, int64_t month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : days[month - 1];
}

/* Minutes since 1970 of the canonical time at `at`, whose digits are digits; -1 where there is no such minute. */
static inline int64_t minute_of(const char *at) {
    int64_t year = two_digits(at) * 100 + two_digits(at + 2), month = two_digits(at + 5), day = two_digits(at + 8);
    int64_t hour = two_digits(at + 11), minute = two_digits(at + 14);
    if (year < 2000 || year > 2999 || month < 1 || month > 12 || day < 1 || day > days_of(year, month)) return -1;
    if (hour > 23 || minute > 59) return -1;
    int64_t past = year - 1; /* whole years, and their leap days, before this one */
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 - 719162 + day - 1;
    for (int64_t i = 1; i < month; i++) days += days_of(year, i);
    return (days * 24 + hour) * 60 + minute;
}

static inline const char *read_instant(Minute *known, const char *at, const char *end, Value *value) {
    static const char shape[] = "0000-00-00T00:00:00.000000Z";
    if (end - at < TIME_LENGTH + 2 || *at++ != '"' || at[TIME_LENGTH] != '"') return NULL;
    bool is_known = memcmp(at, known->text, MINUTE_LENGTH) == 0;
    for (int i = is_known ? MINUTE_LENGTH : 0; i < TIME_LENGTH; i++)
        if (shape[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != shape[i]) return NULL;
    if (at[17] > '5') return NULL;
    if (!is_known) {
        int64_t minute = minute_of(at);
        if (minute < 0) return NULL;
        known->minute = minute;
        memcpy(known->text, at, MINUTE_LENGTH);
    }
    value->text = at;
    value->size = TIME_LENGTH;
    value->number = known->minute;
    return at + TIME_LENGTH + 1;
}

static inline const char *read_sequence(const char *at, const char *end, Value *value) {
    if (end - at < SEQUENCE_DIGITS + 2 || *at++ != '"' || at[SEQUENCE_DIGITS] != '"') return NULL;
    int64_t found = 0;
    for (int i = 0; i < SEQUENCE_DIGITS; i++) {
        if (at[i] < '0' || at[i] > '9') return NULL;
        found = found * 10 + (at[i] - '0');
    }
    value->number = found;
    return found > 0 ? at + SEQUENCE_DIGITS + 1 : NULL;
}

#endif
