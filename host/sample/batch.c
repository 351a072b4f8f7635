/* batch.c - see batch.h. */
#include "batch.h"

#include "device.h"
#include "exact.h"

#include <string.h>

sluice_status batch_begin(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    b->picked = 0, b->turn = 1, b->s = s, b->failed = SLUICE_OK;
    TRY_NEW(b->open, RAW(s, b->n, uint8_t));
    TRY_NEW(b->pick, RAW(s, b->k, int64_t));
    TRY_NEW(b->score, RAW(s, b->k, float));
    if (b->apart > 0) TRY_NEW(b->near, RAW(s, b->n, float));
    memset(b->open, 1, (size_t)b->n);
    if (b->limits && b->limits->group) TRY_NEW(b->taken, NEW(s, b->limits->group_count, int64_t));
    if (b->limits && b->limits->classes) TRY_NEW(b->turns, NEW(s, b->limits->classes, int64_t));
    for (int64_t i = 0; b->turns && i < b->n; i++) b->open[i] = b->prediction[i] >= 0;
out:
    return st;
}

void batch_release(batch *b)
{
    mem_free(b->open), mem_free(b->pick), mem_free(b->score), mem_free(b->taken), mem_free(b->turns);
    mem_free(b->near);
    b->open = NULL, b->pick = NULL, b->score = NULL, b->taken = NULL, b->turns = NULL, b->near = NULL;
}

int64_t batch_best(const batch *b, const float *value)
{
    int64_t best = -1;
    for (int64_t i = 0; i < b->n; i++)
        if (b->open[i] == 1 && (best < 0 ? value[i] == value[i] : value[i] > value[best])) best = i;
    return best;
}

/* A group that has its share: none of its rows may be picked any more. */
static void close_group(batch *b, int32_t group)
{
    for (int64_t i = 0; i < b->n; i++)
        if (b->limits->group[b->entry[i].row] == group) b->open[i] = 0;
}

void batch_close_near(batch *b, const float *rows, int64_t m)
{
    if (b->apart <= 0 || b->failed) return;
    b->failed = m == 1 ? row_distances(b->s, b->unit, b->n, rows, b->width, b->near)
                       : nearest_distances(b->s, b->unit, b->n, rows, m, b->width, b->near);
    for (int64_t i = 0; i < b->n && !b->failed; i++)
        if ((double)b->near[i] < b->apart * b->apart) b->open[i] = 0;
}

void batch_count(batch *b, const sluice_entry *picked)
{
    int32_t group = b->taken ? b->limits->group[picked->row] : -1;
    if (group >= 0 && ++b->taken[group] == b->limits->per_group) close_group(b, group);
}

/* The rows of a class that had its turn wait until no other class has rows; then the next turn begins. */
static void end_turn(batch *b, int64_t class)
{
    bool others = false;
    for (int64_t i = 0; i < b->n; i++) {
        if (b->open[i] == 1 && (int64_t)b->prediction[i] == class) b->open[i] = 2;
        others |= b->open[i] == 1;
    }
    if (others) return;
    b->turn++;
    for (int64_t i = 0; i < b->n; i++)
        if (b->open[i] == 2) b->open[i] = 1;
}

void batch_take(batch *b, int64_t i, float score)
{
    b->pick[b->picked] = i, b->score[b->picked++] = score;
    b->open[i] = 0;
    batch_count(b, &b->entry[i]);
    if (b->apart > 0) batch_close_near(b, b->unit + i * b->width, 1);
    if (!b->failed) b->failed = cancel_check(b->s, "choosing a batch");
    if (b->turns && ++b->turns[(int64_t)b->prediction[i]] >= b->turn) end_turn(b, (int64_t)b->prediction[i]);
}

sluice_status nearest_rows(sluice *s, const float *x, int64_t n, const float *y, int64_t m, int64_t d, int64_t k,
                           float *out_distance, int32_t *out_index)
{
    sluice_status st = SLUICE_OK;
    float *packed;
    sluice_view rows = sluice_rows(y, SLUICE_F32, m, d);
    TRY_NEW(packed, dev_new(s, (m + 15) / 16 * 16, (size_t)(d ? d : 1) * sizeof *packed));
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = rows, .out = packed }));
    TRY(sluice_op_nearest(s, &(sluice_op_nearest_args){ .x = sluice_rows(x, SLUICE_F32, n, d),
                                                        .y = rows,
                                                        .packed = packed,
                                                        .k = k,
                                                        .distance = out_distance,
                                                        .index = out_index }));
out:
    dev_free(s, packed);
    return st;
}

sluice_status nearest_distances(sluice *s, const float *x, int64_t n, const float *y, int64_t m, int64_t d,
                                float *out_distance)
{
    for (int64_t i = 0; i < n; i++) out_distance[i] = ex_inf();
    if (!m || !n) return SLUICE_OK;
    int32_t *index = RAW(s, n, int32_t);
    sluice_status st = index ? nearest_rows(s, x, n, y, m, d, 1, out_distance, index) : SLUICE_E_MEMORY;
    mem_free(index);
    return st;
}

sluice_status row_distances(sluice *s, const float *x, int64_t n, const float *y, int64_t d, float *out_distance)
{
    for (int64_t i = 0; i < n; i++) out_distance[i] = ex_inf();
    return sluice_op_relax(
        s, &(sluice_op_relax_args){ .x = sluice_rows(x, SLUICE_F32, n, d), .y = y, .distance = out_distance });
}
