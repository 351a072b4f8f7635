/* cover.c - ProbCover: again and again the candidate whose ball holds most sample rows that no ball holds yet.  Yehuda,
 * Dekel, Hacohen & Weinshall, "Active learning through a covering lens", NeurIPS 2022.
 *
 * An edge x -> y where |x - y| < delta, from candidates to covered rows, at most 8,192 of the reference sample, those of
 * lowest hash; balls of labelled rows and picks cover.  The largest out-degree among uncovered rows is picked, the lower
 * index among equals.  delta is the parameter radius, or, as in the paper, the largest at which 95% of the covered rows
 * have a pure ball, one without a row of another k-means cell, as many cells as classes: of the head, the labels or the
 * parameter classes.  (All rows in one cell: every ball is pure, delta is infinite.)
 *
 * Where everything that a candidate reaches is covered, k-center goes on (spread.c): degrees are all 0 then, and an argmax
 * would give the first row again and again.  A pick's score is its out-degree, then its distance. */
#include "coverage.h"
#include "exact.h"
#include "kmeans.h"

#include <stdlib.h>
#include <string.h>

enum { CLASSES, RADIUS }; /* parameters */
enum { SMALL = 64 };      /* rows of a cell, see other_cells() */

static int ascending(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

/* Rows of cells with fewer than SMALL rows against all: some of the SMALL nearest are of another cell, if there is one.
 * Each one's squared distance to the first such goes to `near`; how many. */
static sluice_status from_small(sluice *s, const kmeans *q, float *near, int64_t *out_count)
{
    sluice_status st = SLUICE_OK;
    int64_t n = 0, k = SMALL < q->n ? SMALL : q->n;
    size_t row = (size_t)(q->d ? q->d : 1) * sizeof(float);
    float *x = NULL, *distance = NULL;
    int32_t *cell = NULL, *index = NULL;
    TRY_NEW(x, mem_raw(s, q->n, row));
    TRY_NEW(cell, RAW(s, q->n, int32_t));
    for (int64_t i = 0; i < q->n; i++) {
        if (q->size[q->cell[i]] >= SMALL) continue;
        memcpy(x + n * q->d, q->x + i * q->d, (size_t)q->d * sizeof *x);
        cell[n++] = q->cell[i];
    }
    *out_count = n;
    if (n == 0) goto out;
    TRY_NEW(distance, RAW(s, n * k, float));
    TRY_NEW(index, RAW(s, n * k, int32_t));
    TRY(nearest_rows(s, x, n, q->x, q->n, q->d, k, distance, index));
    for (int64_t i = 0; i < n; i++) {
        const float *from = distance + i * k;
        const int32_t *other = index + i * k;
        int64_t j = 0;
        while (j < k && q->cell[other[j]] == cell[i]) j++;
        near[i] = j < k ? from[j] : ex_inf();
    }
out:
    mem_free(x), mem_free(cell), mem_free(distance), mem_free(index);
    return st;
}

/* Rows of one cell against the rest, both gathered. */
static sluice_status from_large(sluice *s, const kmeans *q, int32_t c, float *room, float *near)
{
    int64_t n = 0, m = 0;
    float *own = room, *other = room + q->size[c] * q->d;
    for (int64_t i = 0; i < q->n; i++) {
        float *to = q->cell[i] == c ? own + n++ * q->d : other + m++ * q->d;
        memcpy(to, q->x + i * q->d, (size_t)q->d * sizeof *to);
    }
    return nearest_distances(s, own, n, other, m, q->d, near);
}

/* Squared distances of all rows to the nearest of another cell, small cells first.  Gathering the rest for each of a
 * thousand cells would cost more than the distances: small cells share one call, and large ones are few. */
static sluice_status other_cells(sluice *s, const kmeans *q, float *near)
{
    sluice_status st = SLUICE_OK;
    float *room = NULL;
    int64_t done;
    TRY_NEW(room, mem_raw(s, q->n, (size_t)(q->d ? q->d : 1) * sizeof *room));
    TRY(from_small(s, q, near, &done));
    for (int32_t c = 0; c < (int32_t)q->cells; c++) {
        if (q->size[c] < SMALL) continue;
        TRY(from_large(s, q, c, room, near + done));
        done += q->size[c];
    }
out:
    mem_free(room);
    return st;
}

/* delta^2.  A ball of radius delta is pure where the nearest row of another cell is not inside: delta <= that distance. */
static sluice_status find_radius(sluice *s, const batch *b, int64_t classes, float *out_square)
{
    sluice_status st = SLUICE_OK;
    int64_t p = covered_rows(b);
    float *near = NULL;
    kmeans q = { .x = b->sample,
                 .n = p,
                 .d = b->d,
                 .entry = b->drawn,
                 .cells = classes < p ? classes : p,
                 .seed = b->seed,
                 .labelled = b->round };
    *out_square = 0;
    if (p == 0) return SLUICE_OK;
    TRY_NEW(near, RAW(s, p, float));
    TRY(kmeans_run(s, &q));
    TRY(other_cells(s, &q, near));
    qsort(near, (size_t)p, sizeof *near, ascending);
    *out_square = near[p / 20]; /* p - p/20 balls are pure, at least 95% */
out:
    kmeans_release(&q), mem_free(near);
    return st;
}

sluice_status rule_cover(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    double classes = b->value[CLASSES] > 0 ? b->value[CLASSES] : b->classes;
    float radius = (float)b->value[RADIUS], square = radius * radius;
    if (b->k == 0) return SLUICE_OK;
    if (!(radius > 0) && !(classes >= 1))
        return sluice_hint(
            s,
            sluice_fail(s, SLUICE_E_USAGE, "probcover cannot estimate its radius: the number of classes is not known"),
            "give a head, labels, or 'probcover:classes=N', or the radius itself: 'probcover:radius=0.5'");
    if (!(radius > 0)) TRY(find_radius(s, b, classes < COVERED_ROWS ? (int64_t)classes : COVERED_ROWS, &square));
    TRY(cover_greedily(s, b, SLUICE_HAT, square, NULL));
    TRY(rule_spread(s, b));
out:
    return st;
}
