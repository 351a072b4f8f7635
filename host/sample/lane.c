/* lane.c - see lane.h. */
#include "lane.h"
#include "device.h"
#include "resident.h"

#include <string.h>

/* ---- rows on a device ---- */

static size_t span_bytes(sluice_view x)
{
    return x.rows ? (size_t)(x.rows - 1) * x.stride + (size_t)x.cols * sluice_type_bytes(x.type) : 0;
}

static size_t rounded(size_t bytes) { return (bytes + 255) & ~(size_t)255; }

size_t lane_bytes(sluice_view x) { return rounded(span_bytes(x)) + (x.scale ? (size_t)x.rows * sizeof(float) : 0); }

sluice_status lane_bring(sluice *s, sluice_view x, char *to, sluice_view *out_x)
{
    sluice_status st = SLUICE_OK;
    const float *scale = x.scale;
    TRY(s->backend->copy(&s->exec, to, x.data, span_bytes(x)));
    x.data = to;
    if (scale) {
        x.scale = (const float *)(const void *)(to + rounded(span_bytes(x)));
        TRY(s->backend->copy(&s->exec, (void *)(uintptr_t)x.scale, scale, (size_t)x.rows * sizeof(float)));
    }
    *out_x = x;
out:
    return st;
}

static sluice_status bring_piece(sluice *s, lane *l, sluice_view *x)
{
    size_t bytes = lane_bytes(*x);
    if (!l->device || s->backend->owns(x->data)) return SLUICE_OK;
    if (bytes > l->rows_bytes) {
        dev_free(s, l->rows);
        l->rows_bytes = 0;
        l->rows = dev_new(s, (int64_t)bytes, 1);
        if (!l->rows) return SLUICE_E_MEMORY;
        l->rows_bytes = bytes;
    }
    return lane_bring(s, *x, l->rows, x);
}

/* ---- opening ---- */

sluice_status lane_open(sluice *s, lane *l, const source *src, int i)
{
    *l = (lane){ .place = source_place(s, src), .piece = INT64_MAX };
    l->src = *src;
    l->src.wide = NULL, l->src.wide_floats = 0;
    l->device = l->place.backend->alloc != NULL;
    l->unit = l->device && s->devices ? i % s->devices : 0;
    sluice_status st = l->device ? exec_new(s, i, &l->place.exec) : SLUICE_OK;
    l->place.exec.math = s->math;
    l->place.exec.deferred = l->device;
    return st;
}

static void release_buffers(sluice *s, lane *l)
{
    source bare = l->src;
    bare.wide = NULL, bare.wide_floats = 0;
    source_release(s, &l->src);
    l->src = bare;
    if (l->device) dev_free(s, l->rows);
    l->rows = NULL, l->rows_bytes = 0;
}

void lane_close(sluice *s, lane *l)
{
    if (!l->place.backend) return;
    place was = place_go(s, &l->place);
    tops_release(s, &l->tops);
    release_buffers(s, l); /* device memory is only given back by a device that is done */
    place_back(s, was);
    if (l->device) exec_free(s, &l->place.exec);
    *l = (lane){ 0 };
}

/* ---- a block ---- */

/* What the source writes of the piece: where tops are kept, scores to the device. */
static source_out outputs(const lane *l)
{
    source_out out = source_out_from(&l->src, l->out, l->first);
    for (int j = 0; j < COLUMN_COUNT && l->tops.plan; j++) *scores_column(&out.scores, (column)j) = l->tops.column[j];
    return out;
}

static sluice_status begin_piece(sluice *s, lane *l)
{
    sluice_status st = SLUICE_OK;
    source_out out = outputs(l), wanted = source_out_from(&l->src, l->out, l->first);
    sluice_view x = sluice_rows_of(l->x, l->first, l->count);
    TRY(bring_piece(s, l, &x));
    TRY(source_begin(s, &l->src, x, &out));
    for (int j = 0; j < COLUMN_COUNT && l->tops.plan; j++) {
        float *to = scores_get(&wanted.scores, (column)j);
        if (to) TRY(dev_copy(s, to, l->tops.column[j], (size_t)l->count * sizeof *to));
    }
out:
    return st;
}

/* Tops come last: a piece that failed is begun anew, and no row may be added twice. */
static sluice_status end_piece(sluice *s, lane *l)
{
    sluice_status st = SLUICE_OK;
    source_out out = outputs(l);
    if (l->count == 0) return SLUICE_OK;
    TRY(exec_wait(s, SLUICE_OK));
    TRY(source_end(s, &l->src, &out));
    if (l->tops.plan) TRY(tops_add(s, &l->tops, l->first_row + l->first, l->count));
    l->first += l->count, l->count = 0;
out:
    return st;
}

/* Leaves the last piece under way. */
static sluice_status begin_pieces(sluice *s, lane *l)
{
    sluice_status st = SLUICE_OK;
    while (l->first < l->x.rows) {
        int64_t left = l->x.rows - l->first;
        l->count = left < l->piece ? left : l->piece;
        TRY(begin_piece(s, l));
        if (l->count == left) break;
        TRY(end_piece(s, l));
    }
out:
    return st;
}

/* After a device ran out of memory: false when there is nothing left to give up.  A new stream begins without what the
 * old one kept. */
static bool make_room(sluice *s, lane *l)
{
    if (!l->device || l->x.rows == 0) return false;
    release_buffers(s, l);
    exec_free(s, &l->place.exec);
    sluice_status st = s->backend->exec_open(&l->place.exec);
    s->exec.state = l->place.exec.state;
    if (st) return false;
    resident_give_up(s);
    if (l->piece > l->x.rows) l->piece = l->x.rows;
    if (l->piece == 1) return false;
    l->piece = (l->piece + 1) / 2;
    log_line(s, SLUICE_DEBUG, "blocks of %lld rows from here on: %s", (long long)l->piece, s->error);
    s->error[0] = 0;
    return true;
}

/* The last failure stays in s->error. */
static sluice_status begin_or_halve(sluice *s, lane *l, sluice_status st)
{
    while (st == SLUICE_E_MEMORY && make_room(s, l)) st = begin_pieces(s, l);
    return st;
}

/* A device is busy while any of its lanes is. */
static void begin_work(sluice *s, const lane *l)
{
    if (s->at_work[l->unit].lanes++ == 0) s->at_work[l->unit].since = clock_seconds();
}

static void end_work(sluice *s, const lane *l)
{
    if (--s->at_work[l->unit].lanes == 0) s->usage.busy[l->unit] += clock_seconds() - s->at_work[l->unit].since;
}

sluice_status lane_start(sluice *s, lane *l, int64_t first_row, sluice_view x, const source_out *out)
{
    begin_work(s, l);
    place was = place_go(s, &l->place);
    l->first_row = first_row, l->x = x, l->out = *out;
    l->first = l->count = 0;
    sluice_status st = begin_or_halve(s, l, begin_pieces(s, l));
    place_back(s, was);
    if (st) end_work(s, l); /* nobody will finish it */
    return st;
}

bool lane_idle(lane *l) { return !l->device || l->place.backend->idle(&l->place.exec); }

sluice_status lane_finish(sluice *s, lane *l)
{
    place was = place_go(s, &l->place);
    sluice_status st = end_piece(s, l);
    while (st == SLUICE_E_MEMORY && make_room(s, l)) {
        st = begin_pieces(s, l);
        if (!st) st = end_piece(s, l);
    }
    place_back(s, was);
    end_work(s, l);
    return st;
}

sluice_status lane_score(sluice *s, lane *l, sluice_view x, const source_out *out)
{
    sluice_status st = lane_start(s, l, 0, x, out);
    return st ? st : lane_finish(s, l);
}
