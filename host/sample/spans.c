/* spans.c - see spans.h. */
#include "spans.h"

#include <string.h>

/* Small pools have chunks too, large ones not too many. */
enum { CHUNK_LEAST = 1 << 8, CHUNK_MOST = 1 << 16, CHUNKS = 1 << 10 };

void spans_release(spans *v)
{
    mem_free(v->at);
    *v = (spans){ 0 };
}

/* The first range that ends behind row. */
static int64_t find(const spans *v, int64_t row)
{
    int64_t low = 0, high = v->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (v->at[middle].end > row) high = middle;
        else low = middle + 1;
    }
    return low;
}

bool spans_hold(const spans *v, int64_t row)
{
    int64_t i = find(v, row);
    return i < v->count && v->at[i].first <= row;
}

bool spans_meet(const spans *v, span x)
{
    int64_t i = find(v, x.first);
    return x.first < x.end && i < v->count && v->at[i].first < x.end;
}

static sluice_status grow(sluice *s, spans *v)
{
    if (v->count < v->room) return SLUICE_OK;
    int64_t room = 2 * v->room + 8;
    span *more = mem_grow(s, v->at, room, sizeof *more);
    if (!more) return SLUICE_E_MEMORY;
    v->at = more, v->room = room;
    return SLUICE_OK;
}

sluice_status spans_add(sluice *s, spans *v, span x)
{
    if (x.first >= x.end) return SLUICE_OK;
    sluice_status st = grow(s, v);
    if (st) return st;
    int64_t i = find(v, x.first);
    bool before = i > 0 && v->at[i - 1].end == x.first, behind = i < v->count && v->at[i].first == x.end;
    if (before && behind) {
        v->at[i - 1].end = v->at[i].end;
        memmove(v->at + i, v->at + i + 1, (size_t)(--v->count - i) * sizeof *v->at);
    } else if (before) {
        v->at[i - 1].end = x.end;
    } else if (behind) {
        v->at[i].first = x.first;
    } else {
        memmove(v->at + i + 1, v->at + i, (size_t)(v->count++ - i) * sizeof *v->at);
        v->at[i] = x;
    }
    return SLUICE_OK;
}

int64_t spans_rows(const spans *v)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < v->count; i++) rows += v->at[i].end - v->at[i].first;
    return rows;
}

span spans_gap(const spans *v, span within)
{
    int64_t i = find(v, within.first);
    if (i < v->count && v->at[i].first <= within.first) within.first = v->at[i++].end;
    if (i < v->count && v->at[i].first < within.end) within.end = v->at[i].first;
    if (within.first > within.end) within.first = within.end;
    return within;
}

int64_t chunk_rows(int64_t rows)
{
    int64_t chunk = CHUNK_LEAST;
    while (chunk < CHUNK_MOST && chunk < rows / CHUNKS) chunk *= 2;
    return chunk;
}

span chunk_share(int64_t rows, int64_t i, int64_t n)
{
    int64_t chunk = chunk_rows(rows), chunks = rows / chunk + (rows % chunk != 0);
    int64_t first = (int64_t)((__int128)chunks * i / n), end = (int64_t)((__int128)chunks * (i + 1) / n);
    return (span){ first == chunks ? rows : first * chunk, end == chunks ? rows : end * chunk };
}
