/* nearest.c - the k nearest of m reference rows to each row, on the CPU.  Contract: sluice_backend.h.
 *
 * A distance that decides is the canonical chain over ascending features.  Most pairs never need it: products as fast as
 * forward's give |x|^2 + |y|^2 - 2xy, which is within a known bound of the canonical value, and only pairs that the bound
 * cannot exclude are measured again.  So the result does not depend on the filter:
 *
 *     |a - c| <= A + g c      a: by products, c: canonical, A = 1.01 gamma(d+4) (|x| + max|y|)^2 + d 2^-140, g = 1.02 gamma(d+2)
 *     c of the k-th nearest <= (k-th smallest a + A) / (1 - g), so a pair with a above ((that)(1 + g) + A) is not among them
 *
 * Rows with values so large that a product might overflow, or with more candidates than CROWD, are ranked by all m
 * canonical distances. */
#include "many.h"

#include <math.h> /* sqrt of doubles, for the bound alone */

enum {
    SLICE = 1024, /* references at a time: their products with a block stay in the second-level cache */
    ROOM = 8,     /* times k, plus CROWD: the candidates a row may have */
    CROWD = 4096,
    FIRST = 64 /* more than twice as many, and the threshold is lowered */
};
static const double too_large = 1e37; /* (|x| + |y|)^2 above it may overflow */

typedef struct candidate {
    float value;
    int32_t index;
} candidate;

typedef struct near_row {
    double norm;         /* |x|^2 */
    float threshold;     /* of |y|^2 - 2xy */
    int all;             /* every reference must be measured */
    int64_t count, full; /* candidates, and at how many the threshold is lowered */
    candidate *list;     /* [capacity] */
} near_row;

typedef struct job {
    const sluice_op_nearest_args *a;
    double reach, gamma4, gamma2; /* max |y|, gamma(d + 4), gamma(d + 2) */
    int64_t capacity;             /* candidates of a row */
    float *norms;                 /* [m rounded up to 16] |y|^2, infinity past the last */
    char *scratch;                /* per thread, see lay_out() */
    size_t scratch_bytes;
} job;

/* ---- norms ---- */

/* About |row|^2: it only bounds. */
static float square_norm(const char *row, int64_t d)
{
    float lanes[16];
    v16 sum = v16_zero();
    for (int64_t k = 0; k < d; k += 16) {
        v16 v = row_load_n(row, SLUICE_F32, k, cpu_min(16, d - k));
        sum = v16_fma(v, v, sum);
    }
    v16_store(lanes, sum);
    return ex_fold16(lanes);
}

static void norm_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    (void)thread;
    for (int64_t j = first; j < last; j++) w->norms[j] = square_norm(view_row(&w->a->y, j), w->a->y.cols);
}

/* ---- the filter ---- */

/* Where a pair must be cut given the k-th smallest a of this row: see above; rounded outwards. */
static float cut(const job *w, const near_row *r, float kth)
{
    double span = (sqrt(r->norm) + w->reach) * (1 + w->gamma4), g = 1.02 * w->gamma2;
    double slack = 1.01 * w->gamma4 * span * span + (double)w->a->x.cols * 0x1p-140;
    double a = (double)kth + r->norm;
    double t = (a + slack) * (1 + g) / (1 - g) + slack - r->norm;
    t += 1e-6 * (t < 0 ? -t : t); /* the roundings above */
    return t < (double)FLT_MAX ? (float)t : FLT_MAX;
}

/* The k-th smallest value, k from 1; reorders the list (Hoare 1961). */
static float kth_smallest(candidate *v, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;
    if (k == 1) {
        float least = v[0].value;
        for (int64_t i = 1; i < n; i++) least = v[i].value < least ? v[i].value : least;
        return least;
    }
    while (low < high) {
        float pivot = v[low + (high - low) / 2].value;
        int64_t i = low, j = high;
        while (i <= j) {
            while (v[i].value < pivot) i++;
            while (v[j].value > pivot) j--;
            if (i <= j) {
                candidate t = v[i];
                v[i++] = v[j], v[j--] = t;
            }
        }
        if (k - 1 <= j) high = j;
        else if (k - 1 >= i) low = i;
        else break;
    }
    return v[k - 1].value;
}

/* A first threshold from the first n products: each lane's smallest value is that of another reference, so the k-th smallest
 * of these is no less than the k-th of all. */
static void begin_threshold(const job *w, near_row *r, const float *z, int64_t n)
{
    float a[16];
    candidate lane[16];
    v16 least = v16_set1(ex_inf());
    if (w->a->k > 16 || r->all) return;
    for (int64_t j = 0; j < n; j += 16) {
        v16 v = v16_fma(v16_set1(-2.0f), v16_load(z + j), v16_load(w->norms + j));
        least = v16_gt_select(least, v, v, least); /* what lies past n has infinite norms, or a NaN */
    }
    v16_store(a, least);
    for (int i = 0; i < 16; i++) lane[i] = (candidate){ a[i], 0 };
    r->threshold = cut(w, r, kth_smallest(lane, 16, w->a->k));
}

static void tighten(const job *w, near_row *r)
{
    if (r->count < w->a->k) return;
    r->threshold = cut(w, r, kth_smallest(r->list, r->count, w->a->k));
    int64_t kept = 0;
    for (int64_t i = 0; i < r->count; i++)
        if (r->list[i].value <= r->threshold) r->list[kept++] = r->list[i];
    r->count = kept;
}

/* Candidates among references first .. first+n-1 (first a multiple of 16), z their products with the row. */
static void sift(const job *w, near_row *r, const float *z, int64_t first, int64_t n)
{
    for (int64_t j = 0; j < n && !r->all; j += 16) {
        float a[16];
        v16 v = v16_fma(v16_set1(-2.0f), v16_load(z + j), v16_load(w->norms + first + j));
        unsigned bits = v16_le_bits(v, v16_set1(r->threshold));
        if (!bits) continue;
        if (r->count + 16 > r->full) {
            tighten(w, r);
            r->full = cpu_min(2 * r->count + FIRST, w->capacity);
            r->all = r->count + 16 > w->capacity;
        }
        v16_store(a, v);
        for (; bits && !r->all; bits &= bits - 1) {
            int i = __builtin_ctz(bits);
            r->list[r->count++] = (candidate){ a[i], (int32_t)(first + j + i) };
        }
    }
}

/* ---- canonical distances ---- */

/* Up to 16 pairs of a row and a reference. */
typedef struct pairs {
    int64_t n, row[16];
    int32_t index[16];
} pairs;

/* Features k .. k+depth-1 of 16 rows, transposed; those past n are the last again. */
V16_FN void load_rows(const sluice_view *v, const int64_t row[16], int64_t k, int64_t depth, v16 out[16])
{
    for (int64_t i = 0; i < 16; i++) out[i] = row_load_n(view_row(v, row[i]), SLUICE_F32, k, depth);
    v16_transpose(out);
}

/* Their distances.  Lanes are pairs. */
static void measure(const sluice_op_nearest_args *a, const pairs *p, float out[16])
{
    int64_t d = a->x.cols, row[16], index[16];
    v16 sum = v16_zero();
    for (int64_t i = 0; i < 16; i++) {
        int64_t pair = cpu_min(i, p->n - 1);
        row[i] = p->row[pair], index[i] = p->index[pair];
    }
    for (int64_t k = 0; k < d; k += 16) {
        v16 x[16], y[16];
        int64_t depth = cpu_min(16, d - k);
        load_rows(&a->x, row, k, depth, x);
        load_rows(&a->y, index, k, depth, y);
        for (int64_t i = 0; i < depth; i++) {
            v16 e = v16_sub(x[i], y[i]);
            sum = v16_fma(e, e, sum);
        }
    }
    v16_store(out, sum);
}

/* The k best so far, nearest first. */
typedef struct best {
    float *distance;
    int32_t *index;
    int64_t count, k;
} best;

static int nearer(float d, int32_t j, float d2, int32_t j2) { return d < d2 || (d == d2 && j < j2); }

static void offer(best *b, float distance, int32_t index)
{
    int64_t i = b->count;
    distance = distance == distance ? distance : ex_inf();
    if (i == b->k && !nearer(distance, index, b->distance[i - 1], b->index[i - 1])) return;
    if (i == b->k) i--;
    else b->count++;
    for (; i > 0 && nearer(distance, index, b->distance[i - 1], b->index[i - 1]); i--)
        b->distance[i] = b->distance[i - 1], b->index[i] = b->index[i - 1];
    b->distance[i] = distance, b->index[i] = index;
}

/* bests: of rows from `first` on. */
static void rank_pairs(const sluice_op_nearest_args *a, pairs *p, int64_t first, best *bests)
{
    float distance[16];
    if (!p->n) return;
    measure(a, p, distance);
    for (int64_t l = 0; l < p->n; l++) offer(&bests[p->row[l] - first], distance[l], p->index[l]);
    p->n = 0;
}

/* Rows first .. last-1 of a block: their candidates side by side, for many rows have but one or two. */
static void rank(const job *w, int64_t first, int64_t last, const near_row *rows)
{
    const sluice_op_nearest_args *a = w->a;
    best bests[MANY_BLOCK];
    pairs p = { .n = 0 };
    for (int64_t i = first; i < last; i++) {
        const near_row *r = &rows[i - first];
        int64_t total = r->all ? a->y.rows : r->count;
        bests[i - first] = (best){ a->distance + i * a->k, a->index + i * a->k, 0, a->k };
        for (int64_t j = 0; j < total; j++) {
            p.row[p.n] = i, p.index[p.n++] = r->all ? (int32_t)j : r->list[j].index;
            if (p.n == 16) rank_pairs(a, &p, first, bests);
        }
    }
    rank_pairs(a, &p, first, bests);
}

/* ---- blocks of rows ---- */

typedef struct space {
    float *widened, *products; /* MANY_SCRATCH; [MANY_BLOCK][SLICE] */
    near_row *rows;            /* [MANY_BLOCK] */
    candidate *lists;          /* [MANY_BLOCK][capacity] */
} space;

static size_t lay_out(int64_t capacity, char *base, space *s)
{
    size_t widened = cpu_lines(MANY_SCRATCH * sizeof(float));
    size_t products = cpu_lines((size_t)MANY_BLOCK * SLICE * sizeof(float));
    size_t rows = cpu_lines(MANY_BLOCK * sizeof(near_row));
    size_t lists = cpu_lines((size_t)MANY_BLOCK * (size_t)capacity * sizeof(candidate));
    if (s)
        *s = (space){ (float *)(void *)base, (float *)(void *)(base + widened),
                      (near_row *)(void *)(base + widened + products),
                      (candidate *)(void *)(base + widened + products + rows) };
    return widened + products + rows + lists;
}

static void begin_row(const job *w, int64_t i, near_row *r, candidate *list)
{
    double norm = square_norm(view_row(&w->a->x, i), w->a->x.cols), span = sqrt(norm) + w->reach;
    *r = (near_row){
        .norm = norm, .threshold = FLT_MAX, .all = !(span * span < too_large), .full = w->a->k + FIRST, .list = list
    };
}

static void nearest_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    const sluice_op_nearest_args *a = w->a;
    space s;
    lay_out(w->capacity, w->scratch + (size_t)thread * w->scratch_bytes, &s);
    for (int64_t i = first; i < last; i++) begin_row(w, i, &s.rows[i - first], s.lists + (i - first) * w->capacity);
    for (int64_t j = 0; j < a->y.rows; j += SLICE) {
        int64_t n = cpu_min(SLICE, a->y.rows - j);
        product p = { &a->x, a->packed + j * a->y.cols, NULL, n, 0 };
        product_rows(&p, first, last, (char *)s.products, SLICE * sizeof(float), s.widened);
        for (int64_t i = first; i < last; i++) {
            const float *z = s.products + (i - first) * SLICE;
            if (j == 0) begin_threshold(w, &s.rows[i - first], z, n);
            sift(w, &s.rows[i - first], z, j, n);
        }
    }
    for (int64_t i = first; i < last; i++) tighten(w, &s.rows[i - first]);
    rank(w, first, last, s.rows);
}

static double gamma_of(int64_t n) { return (double)n * 0x1p-24 / (1 - (double)n * 0x1p-24); }

sluice_status TIER_FN(op_nearest)(sluice_exec *x, const sluice_op_nearest_args *a)
{
    int64_t d = a->x.cols, m = a->y.rows;
    job w = { .a = a, .gamma4 = gamma_of(d + 4), .gamma2 = gamma_of(d + 2), .capacity = ROOM * a->k + CROWD };
    size_t norms = cpu_lines((size_t)(m + 15) / 16 * 16 * sizeof *w.norms);
    w.scratch_bytes = lay_out(w.capacity, NULL, NULL);
    w.norms = x->scratch(x, norms + (size_t)x->threads * w.scratch_bytes);
    if (!w.norms) return SLUICE_E_MEMORY;
    w.scratch = (char *)w.norms + norms;
    cpu_parallel(x, m, 256, norm_rows, &w);
    for (int64_t j = m; j % 16; j++) w.norms[j] = ex_inf();
    float largest = 0;
    for (int64_t j = 0; j < m; j++) largest = w.norms[j] > largest || w.norms[j] != w.norms[j] ? w.norms[j] : largest;
    w.reach = sqrt((double)largest) * (1 + 1e-7);
    if (d >= 1 << 20) w.reach = INFINITY; /* the bound has lost its meaning: measure everything */
    cpu_parallel(x, a->x.rows, MANY_BLOCK, nearest_rows, &w);
    return SLUICE_OK;
}
