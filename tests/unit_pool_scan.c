/* unit_pool_scan.c - a pool scan gives every row once, in order, with the bits that the scalar CPU gives it, from the CPU
 * or a device, and from a device where the rows stayed. */
#include "pool_scan.h"
#include "resident.h"
#include "sampling.h"

enum { N = 5000, D = 33, C = 3, STOP_NEVER = N + 1 };

static float x[N * D];
static char path[512];

typedef struct taken {
    int64_t rows, stop_at;
    float margin[N], logits[N * C];
    uint8_t bad[N];
} taken;

static sluice_status take(sluice *s, void *user, const scan_block *b)
{
    taken *v = user;
    const block_facts *f = &b->facts;
    CHECK(f->first_row == v->rows, "row %lld came after %lld rows", (long long)f->first_row, (long long)v->rows);
    if (f->first_row >= v->stop_at) return sluice_fail(s, SLUICE_E_WRITE, "the disk is full");
    memcpy(v->margin + f->first_row, f->column[COLUMN_MARGIN], (size_t)f->rows * sizeof(float));
    memcpy(v->bad + f->first_row, f->bad, (size_t)f->rows);
    if (b->logits) memcpy(v->logits + f->first_row * C, b->logits, (size_t)f->rows * C * sizeof(float));
    v->rows += f->rows;
    return SLUICE_OK;
}

static sluice_status scan_to(sluice *s, const sluice_pool *pool, const sluice_head *h, bool logits, int64_t stop_at,
                             taken *v, double *bytes)
{
    source src = { 0 };
    scan_state state;
    memset(v, 0, sizeof *v);
    v->stop_at = stop_at;
    CHECK_OK(s, source_init(s, &src, pool, h, NULL, NULL));
    CHECK_OK(s, scan_state_init(s, &state, pool->rows, 0, NULL));
    pool_scan scan = { .pool = pool,
                       .src = &src,
                       .columns = READS(COLUMN_MARGIN),
                       .logits = logits,
                       .max_bad = 1,
                       .take = take,
                       .user = v,
                       .task = "scan",
                       .state = &state };
    sluice_status st = pool_scan_run(s, &scan);
    *bytes = scan.bytes;
    scan_state_release(&state);
    source_release(s, &src);
    return st;
}

static void same(const taken *a, const taken *b, bool logits)
{
    CHECK(a->rows == N, "%lld rows", (long long)a->rows);
    CHECK_SAME(a->margin, b->margin, sizeof a->margin, "margin");
    CHECK_SAME(a->bad, b->bad, sizeof a->bad, "bad rows");
    if (logits) CHECK_SAME(a->logits, b->logits, sizeof a->logits, "logits");
}

/* Small buffers: many blocks. */
static sluice *open_tier(int t)
{
    sluice *s = tier_open(t, 2);
    s->mem_bytes = 1 << 18;
    return s;
}

static taken want, got;

static void every_row(int t)
{
    if (!case_is("every row once, %s", tier_name(t))) return;
    sluice *s = open_tier(t);
    sluice_pool *pool = file_pool(s, (const char *const[]){ path }, 1);
    sluice_head *h = test_head(s, D, C, 1.5f, 4);
    double bytes;
    for (int logits = 0; logits < 2; logits++) {
        CHECK_OK(s, scan_to(s, pool, h, logits, STOP_NEVER, &got, &bytes));
        same(&got, &want, logits);
        CHECK(bytes == sizeof x, "%g bytes read", bytes);
    }
    CHECK(got.bad[7] && got.bad[N - 1] && !got.bad[8], "bad rows");
    sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

/* The first scan that comes to its end leaves the rows on the device, for that pool alone. */
static void stays(int t)
{
    if (!case_is("rows stay, %s", tier_name(t))) return;
    sluice *s = open_tier(t);
    sluice_pool *pool = file_pool(s, (const char *const[]){ path }, 1);
    sluice_pool *other = file_pool(s, (const char *const[]){ path }, 1);
    sluice_head *h = test_head(s, D, C, 1.5f, 4);
    double bytes, read = sizeof x, again = on_device(s) ? 0 : read, expected[] = { read, again, read, again };
    CHECK_OK(s, resident_begin(s, pool));
    CHECK(scan_to(s, pool, h, false, N / 2, &got, &bytes) == SLUICE_E_WRITE, "%s", sluice_error(s));
    for (int i = 0; i < 4; i++) {
        CHECK_OK(s, scan_to(s, i == 2 ? other : pool, h, false, STOP_NEVER, &got, &bytes));
        same(&got, &want, false);
        CHECK(bytes == expected[i], "scan %d read %g bytes", i, bytes);
    }
    resident_end(s);
    CHECK_OK(s, scan_to(s, pool, h, false, STOP_NEVER, &got, &bytes));
    same(&got, &want, false);
    CHECK(bytes == read, "%g bytes read after the end", bytes);
    sluice_head_free(h), sluice_pool_free(pool), sluice_pool_free(other), sluice_close(s);
}

/* Giving up does not disturb the scan under way. */
static void gives_up(int t)
{
    if (!case_is("no room to stay, %s", tier_name(t))) return;
    sluice *s = open_tier(t);
    sluice_pool *pool = file_pool(s, (const char *const[]){ path }, 1);
    sluice_head *h = test_head(s, D, C, 1.5f, 4);
    double bytes;
    CHECK_OK(s, resident_begin(s, pool));
    CHECK_OK(s, scan_to(s, pool, h, false, STOP_NEVER, &got, &bytes));
    resident_give_up(s);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(s, scan_to(s, pool, h, false, STOP_NEVER, &got, &bytes));
        same(&got, &want, false);
        CHECK(bytes == sizeof x, "%g bytes read", bytes);
    }
    resident_end(s);
    sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    fill_normal(x, N * D, 9);
    x[7 * D] = NAN, x[N * D - 1] = INFINITY;
    snprintf(path, sizeof path, "%s", test_path("pool.npy"));
    write_npy(path, "<f4", x, N, D, sizeof *x);
    double bytes;
    int scalar = tier_count() - 1;
    sluice *s = tier_open(scalar, 1);
    sluice_pool *pool = file_pool(s, (const char *const[]){ path }, 1);
    sluice_head *h = test_head(s, D, C, 1.5f, 4);
    CHECK_OK(s, scan_to(s, pool, h, true, STOP_NEVER, &want, &bytes));
    sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
    for (int t = 0; t < tier_count(); t++) every_row(t), stays(t), gives_up(t);
    return test_end();
}
