/* gather.c - rows of a pool as f32, in any order.  Contract: pool_gather in pool.h.
 *
 * The rows are sorted and read once each (rows_read.c); what comes is widened piece by piece and copied to its places. */
#include "backends.h"
#include "pool.h"

#include <stdlib.h>
#include <string.h>

typedef struct want {
    int64_t row, place;
} want; /* row of the pool, row of out */

typedef struct gather {
    const want *wants; /* ascending */
    int64_t m, done;   /* wants that have their rows */
    float *out, *wide; /* wide [room, width], grown */
    int64_t room;
} gather;

static int by_row(const void *a, const void *b)
{
    const want *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static void sort_wants(want *w, const int64_t *rows, int64_t m)
{
    bool sorted = true;
    for (int64_t i = 0; i < m; i++) {
        w[i] = (want){ rows[i], i };
        sorted = sorted && (i == 0 || rows[i - 1] <= rows[i]);
    }
    if (!sorted) qsort(w, (size_t)m, sizeof *w, by_row);
}

static sluice_status grow(sluice *s, gather *g, sluice_view x)
{
    size_t row;
    if (x.rows <= g->room) return SLUICE_OK;
    if (mul_overflows((size_t)x.cols, sizeof *g->wide, &row))
        return sluice_fail(s, SLUICE_E_MEMORY, "a row of %lld features does not fit in memory", (long long)x.cols);
    mem_free(g->wide);
    g->room = 0;
    g->wide = mem_raw(s, x.rows, row);
    if (!g->wide) return SLUICE_E_MEMORY;
    g->room = x.rows;
    return SLUICE_OK;
}

/* A row goes to every place that wants it. */
static sluice_status visit(sluice *s, void *user, int64_t at, sluice_view x)
{
    sluice_status st = SLUICE_OK;
    gather *g = user;
    size_t width = (size_t)x.cols;
    (void)at;
    TRY(grow(s, g, x));
    place was = place_go_cpu(s); /* the rows are the host's, before and after */
    st = sluice_op_convert(
        s, &(sluice_op_convert_args){ .x = x, .out = sluice_rows(g->wide, SLUICE_F32, x.rows, x.cols) });
    place_back(s, was);
    for (int64_t i = 0; i < x.rows && !st; i++) {
        int64_t row = g->wants[g->done].row;
        for (; g->done < g->m && g->wants[g->done].row == row; g->done++)
            memcpy(g->out + (size_t)g->wants[g->done].place * width, g->wide + (size_t)i * width,
                   width * sizeof *g->wide);
    }
out:
    return st;
}

sluice_status pool_gather(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, float *out)
{
    if (m == 0) return SLUICE_OK;
    sluice_status st = SLUICE_OK;
    want *wants = NULL;
    int64_t *once = NULL, n = 0;
    gather g = { .m = m, .out = out };
    TRY_NEW(wants, RAW(s, m, want));
    TRY_NEW(once, RAW(s, m, int64_t));
    sort_wants(wants, rows, m);
    g.wants = wants;
    for (int64_t i = 0; i < m; i++)
        if (!i || wants[i].row != wants[i - 1].row) once[n++] = wants[i].row;
    TRY(rows_read(s, pool, once, n, visit, &g, NULL));
out:
    mem_free(g.wide);
    mem_free(wants);
    mem_free(once);
    return st;
}
