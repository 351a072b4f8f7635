/* unit_scan_state.c - the state of a scan: merging states of any cut of the rows, in any order and grouping, gives the
 * bytes and the picks of one scan of all rows; bytes that were changed are refused. */
#include "files.h"
#include "sampling.h"
#include "scan_state.h"

enum { N = 4000, K = 40, CLASSES = 5, GROUPS = 60, TOPS = 4, PIECES = 37 };

static float x[N], score[TOPS][N], prediction[N];
static int32_t group[N];
static uint64_t ids[N], excluded[N / 64 + 1];
static sluice_pool *pool;

static void make_rows(uint64_t seed)
{
    rng r = { seed };
    for (int64_t i = 0; i < N; i++) {
        ids[i] = rng_u64(&r);
        prediction[i] = (float)(rng_u64(&r) % CLASSES);
        group[i] = (int32_t)(rng_u64(&r) % (GROUPS + 1)) - 1;
        if (rng_u64(&r) % 10 == 0) excluded[i / 64] |= (uint64_t)1 << (i % 64);
        for (int t = 0; t < TOPS; t++) {
            score[t][i] = (float)(rng_u64(&r) % 200) / 8; /* many ties */
            if (i % 3 == 2) score[t][i] = NAN;
        }
        if (i % 3 == 2) prediction[i] = NAN;
    }
    for (int64_t i = 0; i < N; i++) score[1][i] = i % 3 == 2 ? NAN : i % 2 ? -0.0f : 0.0f; /* never varies */
}

/* One top by the op, one by groups, one by classes, one by both. */
static pick_rules rules_of(int t)
{
    pick_rules r = { .k = K, .seed = 11, .room = 7 };
    if (t & 1) r.group = group, r.group_count = GROUPS, r.per_group = 2;
    if (t & 2) r.classes = CLASSES;
    return r;
}

typedef struct known {
    candidates tops[TOPS];
    scan_state state;
} known;

static void start(sluice *s, known *v)
{
    for (int t = 0; t < TOPS; t++) {
        pick_rules r = rules_of(t);
        CHECK_OK(s, candidates_init(s, &v->tops[t], &r));
    }
    CHECK_OK(s, scan_state_init(s, &v->state, N, TOPS, v->tops));
}

static void end(known *v)
{
    for (int t = 0; t < TOPS; t++) candidates_release(&v->tops[t]);
    scan_state_release(&v->state);
}

static void see(sluice *s, known *v, int64_t first, int64_t n)
{
    for (int t = 0; t < TOPS; t++) {
        CHECK_OK(s,
                 candidates_add(s, &v->tops[t], score[t] + first, prediction + first, ids + first, n, first, excluded));
        seen_add(&v->state.seen[t], score[t] + first, n);
    }
    for (int64_t i = first; i < first + n; i++)
        if (i % 3 == 2) quarantine_add(&v->state.bad, i);
    CHECK_OK(s, spans_add(s, &v->state.done, (span){ first, first + n }));
    v->state.bytes += n;
}

typedef struct packed {
    void *bytes;
    size_t size;
} packed;

static packed pack(sluice *s, known *v)
{
    packed p = { 0 };
    CHECK_OK(s, scan_state_pack(s, &v->state, &p.bytes, &p.size));
    return p;
}

static sluice_status merge(sluice *s, known *v, packed p)
{
    return scan_state_merge(s, &v->state, pool, excluded, p.bytes, p.size);
}

static packed joined(sluice *s, packed a, packed b)
{
    known v;
    start(s, &v);
    CHECK_OK(s, merge(s, &v, a));
    CHECK_OK(s, merge(s, &v, b));
    packed p = pack(s, &v);
    end(&v);
    return p;
}

/* The k rows that the definition picks, by a plain walk: for tops of t without classes. */
static void check_picks(sluice *s, known *v, int t)
{
    int64_t left[GROUPS] = { 0 }, picked = 0;
    bool taken[N] = { false };
    CHECK_OK(s, candidates_finish(s, &v->tops[t]));
    const sluice_entry *e = v->tops[t].top.entries;
    CHECK(v->tops[t].top.count == K, "top %d: %lld picks", t, (long long)v->tops[t].top.count);
    while (picked < K) {
        int64_t best = -1;
        for (int64_t i = 0; i < N; i++) {
            if (taken[i] || excluded[i / 64] >> (i % 64) & 1 || score[t][i] != score[t][i]) continue;
            if (best < 0 || score[t][i] > score[t][best] ||
                (score[t][i] == score[t][best] && ref_hash(11, ids[i]) < ref_hash(11, ids[best])))
                best = i;
        }
        taken[best] = true;
        if (t & 1 && group[best] >= 0 && left[group[best]]++ >= 2) continue;
        CHECK(e[picked].row == best, "top %d, rank %lld: row %lld, not %lld", t, (long long)picked,
              (long long)e[picked].row, (long long)best);
        picked++;
    }
}

/* Rows in pieces, dealt to three states at random and seen in a random order. */
static void deal(sluice *s, known part[3], rng *r)
{
    int64_t cut[PIECES + 1] = { 0 }, order[PIECES];
    for (int i = 1; i < PIECES; i++) cut[i] = cut[i - 1] + (int64_t)(rng_u64(r) % (2 * N / PIECES));
    for (int i = 1; i < PIECES; i++) cut[i] = cut[i] < N ? cut[i] : N;
    cut[PIECES] = N;
    for (int i = 0; i < PIECES; i++) order[i] = i;
    for (int i = PIECES - 1; i > 0; i--) {
        int j = (int)(rng_u64(r) % (uint64_t)(i + 1));
        int64_t swap = order[i];
        order[i] = order[j], order[j] = swap;
    }
    for (int i = 0; i < PIECES; i++) {
        int64_t first = cut[order[i]], n = cut[order[i] + 1] - first;
        known *to = &part[rng_u64(r) % 3];
        see(s, to, first, n);
        if (rng_u64(r) % 4 == 0) { /* kept on the way */
            packed p = pack(s, to);
            mem_free(p.bytes);
        }
    }
}

static void any_order(uint64_t seed)
{
    if (!case_is("any order, seed %llu", (unsigned long long)seed)) return;
    static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    sluice *s = tier_open(0, 1);
    known all, part[3];
    packed p[3], want;
    rng r = { seed };
    start(s, &all);
    see(s, &all, 0, N);
    want = pack(s, &all);
    for (int i = 0; i < 3; i++) start(s, &part[i]);
    deal(s, part, &r);
    for (int i = 0; i < 3; i++) p[i] = pack(s, &part[i]);
    for (int i = 0; i < 6; i++) {
        const int *o = orders[i];
        packed two = joined(s, p[o[0]], p[o[1]]), left = joined(s, two, p[o[2]]), right = joined(s, p[o[2]], two);
        CHECK(left.size == want.size, "%zu bytes, not %zu", left.size, want.size);
        CHECK_SAME(left.bytes, want.bytes, want.size, "(%d %d) %d", o[0], o[1], o[2]);
        CHECK_SAME(right.bytes, want.bytes, want.size, "%d (%d %d)", o[2], o[0], o[1]);
        mem_free(two.bytes), mem_free(left.bytes), mem_free(right.bytes);
    }
    /* And on from there: what was loaded picks as what was seen. */
    known again;
    start(s, &again);
    CHECK_OK(s, merge(s, &again, want));
    CHECK(spans_rows(&again.state.done) == N && again.state.bad.count == N / 3, "rows");
    CHECK(again.state.seen[1].rows == N - N / 3 && again.state.seen[0].varies, "which scores vary");
    check_picks(s, &again, 0), check_picks(s, &again, 1);
    for (int t = 2; t < TOPS; t++) {
        CHECK_OK(s, candidates_finish(s, &all.tops[t]));
        CHECK_OK(s, candidates_finish(s, &again.tops[t]));
        CHECK(all.tops[t].top.count == again.tops[t].top.count, "top %d", t);
        for (int64_t i = 0; i < all.tops[t].top.count; i++)
            CHECK(all.tops[t].top.entries[i].row == again.tops[t].top.entries[i].row, "top %d, rank %lld", t,
                  (long long)i);
    }
    for (int i = 0; i < 3; i++) mem_free(p[i].bytes), end(&part[i]);
    mem_free(want.bytes), end(&all), end(&again);
    sluice_close(s);
}

static void refused(void)
{
    if (!case_is("rows twice, another pool, cut short, changed")) return;
    sluice *s = tier_open(0, 1);
    known a, b;
    start(s, &a), see(s, &a, 100, 500);
    packed p = pack(s, &a);
    start(s, &b), see(s, &b, 599, 10);
    CHECK_FAILS(s, merge(s, &b, p), E_DATA, "rows 100 to 599 are there twice");
    end(&b), start(s, &b), b.state.rows = N + 1;
    CHECK_FAILS(s, merge(s, &b, p), E_FORMAT, "another number of rows");
    end(&b);
    for (size_t size = 0; size < p.size; size += size < 200 ? 1 : 37) {
        start(s, &b);
        CHECK_FAILS(s, merge(s, &b, (packed){ p.bytes, size }), E_FORMAT, "");
        end(&b);
    }
    /* No single changed byte may pick a row that is not there; most are refused. */
    int64_t accepted = 0, tried = 0;
    for (size_t at = 0; at < p.size; at++, tried++) {
        uint8_t *byte = (uint8_t *)p.bytes + at;
        *byte ^= 0x10;
        start(s, &b);
        sluice_status st = merge(s, &b, p);
        CHECK(st == SLUICE_OK || st == SLUICE_E_FORMAT, "byte %zu: %s", at, sluice_error(s));
        accepted += !st;
        for (int t = 0; t < TOPS && !st; t++)
            for (int64_t i = 0; i < b.tops[t].top.count; i++) {
                const sluice_entry *e = &b.tops[t].top.entries[i];
                CHECK(e->row >= 100 && e->row < 600 && e->id == ids[e->row], "byte %zu: row %lld", at,
                      (long long)e->row);
            }
        *byte ^= 0x10;
        end(&b);
    }
    CHECK(accepted < tried / 3, "%lld of %lld changed states pass", (long long)accepted, (long long)tried);
    mem_free(p.bytes), end(&a);
    sluice_close(s);
}

static void ranges(void)
{
    if (!case_is("ranges of rows against a plain set")) return;
    sluice *s = tier_open(0, 1);
    enum { ROWS = 200 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        rng r = { seed };
        spans v = { 0 };
        bool in[ROWS + 1] = { false };
        for (int i = 0; i < 60; i++) {
            int64_t first = (int64_t)(rng_u64(&r) % ROWS), length = (int64_t)(rng_u64(&r) % 9), last = first + length;
            span x = { first, last < ROWS ? last : ROWS };
            bool meets = false;
            for (int64_t j = x.first; j < x.end; j++) meets |= in[j];
            CHECK(spans_meet(&v, x) == meets, "seed %llu: %lld to %lld", (unsigned long long)seed, (long long)x.first,
                  (long long)x.end);
            if (meets) continue;
            CHECK_OK(s, spans_add(s, &v, x));
            for (int64_t j = x.first; j < x.end; j++) in[j] = true;
        }
        int64_t rows = 0, runs = 0, at = 0;
        for (int64_t j = 0; j < ROWS; j++) {
            CHECK(spans_hold(&v, j) == in[j], "seed %llu: row %lld", (unsigned long long)seed, (long long)j);
            rows += in[j], runs += in[j] && !(j && in[j - 1]);
        }
        CHECK(spans_rows(&v) == rows && v.count == runs, "%lld rows in %lld ranges", (long long)rows, (long long)runs);
        for (;;) { /* gaps, one after another */
            span gap = spans_gap(&v, (span){ at, ROWS });
            int64_t first = at;
            while (first < ROWS && in[first]) first++;
            int64_t last = first;
            while (last < ROWS && !in[last]) last++;
            CHECK(gap.end - gap.first == last - first && (first == last || gap.first == first), "gap %lld %lld",
                  (long long)gap.first, (long long)gap.end);
            if (gap.first == gap.end) break;
            at = gap.end;
        }
        spans_release(&v);
    }
    sluice_close(s);
}

static void shares(void)
{
    if (!case_is("parts are whole chunks and all rows")) return;
    static const int64_t rows[] = { 0, 1, 255, 256, 257, 10000, 1 << 20, 1000000007, INT64_MAX / 2 };
    static const int64_t parts[] = { 1, 2, 3, 7, 64, 1000, INT32_MAX };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof parts / sizeof *parts; j++) {
            int64_t n = rows[i], m = parts[j], chunk = chunk_rows(n), at = 0, most = 0, least = INT64_MAX;
            for (int64_t k = 0; k < m; k = k + 1 < 1000 || k + 1 > m - 1000 ? k + 1 : m - 1000) {
                span x = chunk_share(n, k, m);
                CHECK(x.first <= x.end && (x.first == at || k == m - 1000), "part %lld of %lld", (long long)k,
                      (long long)m);
                CHECK(x.first % chunk == 0 || x.first == n, "part %lld of %lld starts within a chunk", (long long)k,
                      (long long)m);
                int64_t chunks = (x.end - x.first + chunk - 1) / chunk;
                most = chunks > most ? chunks : most, least = chunks < least ? chunks : least;
                at = x.end;
            }
            CHECK(at == n && most - least <= 1, "%lld rows, %lld parts: to %lld, %lld to %lld chunks", (long long)n,
                  (long long)m, (long long)at, (long long)least, (long long)most);
        }
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    make_rows(5);
    sluice *s = tier_open(0, 1);
    pool = memory_pool(s, x, SLUICE_F32, N, 1, ids);
    for (uint64_t seed = 1; seed <= 6; seed++) any_order(seed);
    refused();
    ranges();
    shares();
    sluice_pool_free(pool), sluice_close(s);
    return test_end();
}
