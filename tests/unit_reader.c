/* unit_reader.c - blocks in row order with the right bytes, whatever path, layout, block size and memory. */
#include "pools.h"
#include "reader.h"

#include <fcntl.h>
#include <unistd.h>

static const char *const paths[] = { "uring", "pread", "map", "direct", "" };
enum { PATHS = sizeof paths / sizeof *paths };

/* Reads all and compares every row; hold: how many blocks are kept before the first is given back. */
static void read_all(sluice *s, made_pool *m, reader_plan plan, int hold)
{
    reader *r = NULL;
    block held[4];
    int holding = 0;
    bool end = false;
    int64_t next = plan.first_row, last = plan.rows ? plan.first_row + plan.rows : m->pool.rows;
    sluice_status st = reader_open(s, pool_of(m), &plan, &r);
    CHECK(st == SLUICE_OK, "%s", sluice_error(s));
    if (st) return;
    for (;;) {
        block b;
        CHECK_OK(s, st = reader_next(s, r, &b, &end));
        if (st || end) break;
        CHECK(b.first_row == next && b.rows > 0 && b.rows <= reader_block_rows(r),
              "block of %lld rows at %lld, expected row %lld", (long long)b.rows, (long long)b.first_row,
              (long long)next);
        CHECK(!plan.max_rows || b.rows <= plan.max_rows, "%lld rows", (long long)b.rows);
        CHECK(b.view.rows == b.rows && b.view.cols == m->pool.width, "view %lld x %lld", (long long)b.view.rows,
              (long long)b.view.cols);
        for (int64_t i = 0; i < b.rows; i++)
            CHECK_SAME((const uint8_t *)b.view.data + (size_t)i * b.view.stride,
                       m->rows + (size_t)(next + i) * m->row_bytes, m->row_bytes, "row %lld", (long long)(next + i));
        for (int i = 0; i < m->pool.shard_count; i++) {
            const shard *sh = &m->sh[i];
            bool inside = b.first_row >= sh->first_row && b.first_row < sh->first_row + sh->rows;
            CHECK(!inside || b.first_row + b.rows <= sh->first_row + sh->rows, "the block crosses shard %d", i);
            CHECK(!inside || !sh->scale || b.view.scale == sh->scale + (b.first_row - sh->first_row),
                  "scales of shard %d", i);
        }
        next += b.rows;
        held[holding++] = b;
        if (holding == hold) {
            for (int i = 0; i < holding; i++) reader_done(r, &held[i]);
            holding = 0;
        }
    }
    CHECK(next == last, "ended at row %lld of %lld", (long long)next, (long long)last);
    if (!st)
        CHECK(reader_bytes(r) >= (double)((size_t)(last - plan.first_row) * m->row_bytes), "%g bytes", reader_bytes(r));
    reader_close(r);
}

static void every_way(sluice *s)
{
    static const int64_t uneven[] = { 1000, 1, 0, 37, 4096, 300 }, one[] = { 5000 }, single[] = { 1 }, none[] = { 0 };
    static const struct {
        const int64_t *counts;
        int shards;
        const char *name;
    } pools[] = { { uneven, 6, "uneven" }, { one, 1, "one" }, { single, 1, "single row" }, { none, 1, "no row" } };
    static const sluice_type types[] = { SLUICE_F32, SLUICE_F16, SLUICE_I8 };
    for (int p = 0; p < PATHS; p++)
        for (int l = NPY; l <= MEMORY; l++)
            for (int t = 0; t < 3; t++)
                for (int k = 0; k < 4; k++) {
                    const char *path = paths[p];
                    int64_t d = k == 1 ? 33 : 64;
                    if (!case_is("path=%s layout=%s type=%s pool=%s", path, layout_name[l], sluice_type_name(types[t]),
                                 pools[k].name))
                        continue;
                    setenv("SLUICE_READER", path, 1);
                    made_pool m = make_pool(l, types[t], d, pools[k].counts, pools[k].shards, 1 + (uint64_t)k);
                    read_all(s, &m, (reader_plan){ .mem_bytes = 1 << 20 }, 1);
                    read_all(s, &m, (reader_plan){ .mem_bytes = 1 << 20, .max_rows = 100 }, 3);
                    read_all(s, &m, (reader_plan){ .mem_bytes = 16 << 20, .max_rows = 1 << 20 }, 1);
                    if (k == 0) {
                        read_all(s, &m, (reader_plan){ .mem_bytes = m.row_bytes * 9 }, 2);
                        read_all(s, &m, (reader_plan){ .mem_bytes = m.row_bytes }, 1); /* one buffer of one row */
                        read_all(s, &m, (reader_plan){ .mem_bytes = 1 << 20, .first_row = 990, .rows = 50 }, 1);
                        read_all(s, &m, (reader_plan){ .first_row = m.pool.rows }, 1);
                    }
                    free_pool(&m);
                }
    unsetenv("SLUICE_READER");
}

/* Blocks of several MiB, so that every buffer is used more than once and a job has all its pieces. */
static void large(sluice *s)
{
    static const int64_t counts[] = { 9000, 7000 };
    for (int p = 0; p < PATHS; p++) {
        if (!case_is("path=%s 48 MiB", paths[p])) continue;
        setenv("SLUICE_READER", paths[p], 1);
        made_pool m = make_pool(FBIN, SLUICE_F32, 771, counts, 2, 5);
        read_all(s, &m, (reader_plan){ .mem_bytes = 8 << 20 }, 1);
        read_all(s, &m, (reader_plan){ .mem_bytes = 64 << 20 }, 2);
        for (int i = 0; i < 2; i++) { /* from the disk */
            int fd = open(m.sh[i].path, O_RDONLY);
            fsync(fd), posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), close(fd);
        }
        read_all(s, &m, (reader_plan){ .mem_bytes = 32 << 20 }, 1);
        free_pool(&m);
    }
    unsetenv("SLUICE_READER");
}

/* A part of the file is in the page cache, a part is not: both ways of reading meet in one scan. */
static void partly_cached(sluice *s)
{
    static const int64_t counts[] = { 40000 };
    if (!case_is("a file partly in the page cache")) return;
    made_pool m = make_pool(FVECS, SLUICE_F32, 512, counts, 1, 6);
    int fd = open(m.sh[0].path, O_RDONLY);
    fsync(fd);
    for (int k = 0; k < 10; k += 2) posix_fadvise(fd, (off_t)k * (8 << 20), 8 << 20, POSIX_FADV_DONTNEED);
    close(fd);
    read_all(s, &m, (reader_plan){ .mem_bytes = 8 << 20 }, 1);
    read_all(s, &m, (reader_plan){ .mem_bytes = 64 << 20 }, 2);
    free_pool(&m);
}

/* The files of other tools, through sluice_pool_open(). */
static void opened(sluice *s)
{
    enum { N = 300, D = 24 };
    static float rows[N * D];
    fill_eighths(rows, N * D, 9);
    for (int l = NPY; l <= FVECS; l++)
        for (int p = 0; p < PATHS; p++) {
            if (!case_is("sluice_pool_open of %s, path=%s", layout_name[l], paths[p])) continue;
            static uint8_t file[128 + N * (4 + D * 4)];
            char name[64];
            snprintf(name, sizeof name, "opened.%s", layout_name[l]);
            const char *path = test_path(name);
            size_t at = 0;
            if (l == NPY) {
                memset(file, ' ', 128);
                memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
                memcpy(file + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (300, 24), }", 62);
                file[127] = '\n', at = 128;
            } else if (l == FBIN) {
                memcpy(file, (uint32_t[]){ N, D }, 8), at = 8;
            }
            for (int i = 0; i < N; i++) {
                if (l == FVECS) memcpy(file + at, (int32_t[]){ D }, 4), at += 4;
                memcpy(file + at, rows + i * D, D * 4), at += D * 4;
            }
            write_file(path, file, at);
            sluice_pool *pool = NULL;
            CHECK_OK(s, sluice_pool_open(
                            s, &(sluice_pool_args){ .size = sizeof(sluice_pool_args), .paths = &path, .path_count = 1 },
                            &pool));
            if (!pool) continue;
            setenv("SLUICE_READER", paths[p], 1);
            made_pool m = { .pool = *pool, .rows = (uint8_t *)rows, .row_bytes = D * 4 };
            m.sh[0] = pool->shards[0];
            read_all(s, &m, (reader_plan){ .max_rows = 70 }, 2);
            sluice_pool_free(pool);
        }
    unsetenv("SLUICE_READER");
}

static void scales(sluice *s)
{
    static const int64_t counts[] = { 300, 200 };
    if (!case_is("scales of i8 rows")) return;
    made_pool m = make_pool(NPY, SLUICE_I8, 16, counts, 2, 3);
    float scale[500];
    fill_normal(scale, 500, 4);
    m.sh[0].scale = scale, m.sh[1].scale = scale + 300;
    read_all(s, &m, (reader_plan){ .max_rows = 77 }, 1);
    free_pool(&m);
}

static void refusals(sluice *s)
{
    static const int64_t counts[] = { 100 };
    made_pool m = make_pool(NPY, SLUICE_F32, 64, counts, 1, 3);
    reader *r = NULL;
    if (case_is("a row larger than the budget")) {
        CHECK(reader_open(s, pool_of(&m), &(reader_plan){ .mem_bytes = 255 }, &r) == SLUICE_E_MEMORY, "%s",
              sluice_error(s));
        CHECK(strstr(sluice_error(s), "256 bytes") && strstr(sluice_error(s), "255 bytes"), "%s", sluice_error(s));
    }
    if (case_is("rows outside the pool")) {
        CHECK(reader_open(s, pool_of(&m), &(reader_plan){ .first_row = 50, .rows = 51 }, &r) == SLUICE_E_INTERNAL, "%s",
              sluice_error(s));
        CHECK(reader_open(s, pool_of(&m), &(reader_plan){ .first_row = 101 }, &r) == SLUICE_E_INTERNAL, "%s",
              sluice_error(s));
        CHECK(reader_open(s, pool_of(&m), &(reader_plan){ .rows = -1 }, &r) == SLUICE_E_INTERNAL, "%s",
              sluice_error(s));
    }
    if (case_is("an unknown SLUICE_READER")) {
        setenv("SLUICE_READER", "tape", 1);
        CHECK(reader_open(s, pool_of(&m), &(reader_plan){ 0 }, &r) == SLUICE_E_USAGE, "%s", sluice_error(s));
        unsetenv("SLUICE_READER");
    }
    free_pool(&m);
}

static void holding_all(sluice *s)
{
    static const int64_t counts[] = { 1000 };
    if (!case_is("every block held")) return;
    made_pool m = make_pool(NPY, SLUICE_F32, 64, counts, 1, 3);
    reader *r = NULL;
    block b[64];
    bool end;
    int held = 0;
    CHECK_OK(s, reader_open(s, pool_of(&m), &(reader_plan){ .max_rows = 10 }, &r));
    while (held < 64 && reader_next(s, r, &b[held], &end) == SLUICE_OK) held++;
    CHECK(held >= 2 && held < 64, "%d blocks", held);
    CHECK(strstr(sluice_error(s), "held"), "%s", sluice_error(s));
    reader_close(r); /* takes back what is held */
    free_pool(&m);
}

/* A file larger than memory, all hole: whether its reads go past the page cache. */
static void larger_than_memory(sluice *s)
{
    if (!case_is("a file larger than memory")) return;
    made_pool m = make_pool(NPY, SLUICE_F32, 1024, (int64_t[]){ 10 }, 1, 3);
    shard *sh = &m.sh[0];
    int probe = open(sh->path, O_RDONLY | O_DIRECT), direct = 0;
    reader *r = NULL;
    block b;
    bool end;
    sh->rows = m.pool.rows = (int64_t)(memory_available() / m.row_bytes) + 1000;
    if (truncate(sh->path, (off_t)((size_t)m.pool.rows * m.row_bytes + 128))) perror("truncate");
    note_facts(sh);
    CHECK_OK(s, reader_open(s, pool_of(&m), &(reader_plan){ .mem_bytes = 8 << 20 }, &r));
    CHECK_OK(s, reader_next(s, r, &b, &end));
    CHECK_SAME(b.view.data, m.rows, 10 * m.row_bytes, "the rows before the hole");
    for (int fd = 3; fd < 256; fd++) direct += fd != probe && fcntl(fd, F_GETFL) > 0 && fcntl(fd, F_GETFL) & O_DIRECT;
    CHECK(direct == (probe >= 0), "%d files are read past the page cache", direct);
    reader_close(r);
    if (probe >= 0) close(probe);
    free_pool(&m);
}

static int open_shards(void)
{
    int count = 0;
    char name[64], target[512];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        count += strstr(target, "shard-") != NULL;
    }
    return count;
}

/* A file server answers many small requests at once as fast as one. */
static void small_shards(sluice *s)
{
    static const int64_t counts[SHARDS_MAX] = { 10, 10, 10, 10, 10, 10, 10, 10 };
    if (!case_is("small shards are read together")) return;
    setenv("SLUICE_READER", "pread", 1);
    made_pool m = make_pool(NPY, SLUICE_F32, 64, counts, SHARDS_MAX, 3);
    reader *r = NULL;
    block b;
    bool end;
    CHECK_OK(s, reader_open(s, pool_of(&m), &(reader_plan){ 0 }, &r));
    CHECK_OK(s, reader_next(s, r, &b, &end));
    CHECK(open_shards() == SHARDS_MAX, "%d files are open", open_shards());
    reader_close(r);
    unsetenv("SLUICE_READER");
    free_pool(&m);
}

/* Who hands blocks to several devices holds as many as the plan says, and asks for the next. */
static void holding_many(sluice *s)
{
    static const int64_t counts[] = { 1000 };
    for (int held = 2; held <= 16; held += 7) {
        if (!case_is("%d blocks held", held)) continue;
        made_pool m = make_pool(NPY, SLUICE_F32, 64, counts, 1, 3);
        reader *r = NULL;
        block b[17];
        bool end;
        CHECK_OK(s, reader_open(s, pool_of(&m), &(reader_plan){ .max_rows = 10, .held = held }, &r));
        CHECK(reader_slots(r) > held, "%d slots", reader_slots(r));
        for (int i = 0; i <= held; i++) CHECK_OK(s, reader_next(s, r, &b[i], &end));
        for (int i = 0; i <= held; i++)
            CHECK_SAME(b[i].view.data, m.rows + (size_t)(10 * i) * m.row_bytes, 10 * m.row_bytes, "block %d", i);
        reader_done(r, &b[1]); /* in any order */
        CHECK_OK(s, reader_next(s, r, &b[1], &end));
        CHECK(b[1].first_row == 10 * (held + 1), "row %lld", (long long)b[1].first_row);
        reader_close(r);
        free_pool(&m);
    }
}

static void small_blocks(sluice *s)
{
    static const int64_t counts[] = { 1000 };
    if (!case_is("blocks of at most 1000 bytes")) return;
    made_pool m = make_pool(NPY, SLUICE_F32, 64, counts, 1, 3);
    read_all(s, &m, (reader_plan){ .block_bytes = 1000 }, 1); /* 3 rows of 256 */
    read_all(s, &m, (reader_plan){ .block_bytes = 1 }, 1);    /* a row */
    reader *r = NULL;
    CHECK_OK(s, reader_open(s, pool_of(&m), &(reader_plan){ .block_bytes = 1000 }, &r));
    CHECK(reader_block_rows(r) == 3, "%lld rows", (long long)reader_block_rows(r));
    reader_close(r);
    free_pool(&m);
}

static void cancelled(sluice *s)
{
    static const int64_t counts[] = { 1000 };
    for (int p = 0; p < PATHS; p++) {
        if (!case_is("cancel, path=%s", paths[p])) continue;
        setenv("SLUICE_READER", paths[p], 1);
        made_pool m = make_pool(NPY, SLUICE_F32, 64, counts, 1, 3);
        reader *r = NULL;
        block b;
        bool end;
        CHECK_OK(s, reader_open(s, pool_of(&m), &(reader_plan){ .max_rows = 10 }, &r));
        CHECK_OK(s, reader_next(s, r, &b, &end));
        sluice_cancel(s);
        CHECK(reader_next(s, r, &b, &end) == SLUICE_E_CANCELLED, "%s", sluice_error(s));
        s->cancelled = 0;
        reader_close(r); /* with reads under way */
        free_pool(&m);
    }
    unsetenv("SLUICE_READER");
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    every_way(s);
    large(s);
    partly_cached(s);
    opened(s);
    scales(s);
    refusals(s);
    holding_all(s);
    larger_than_memory(s);
    small_shards(s);
    holding_many(s);
    small_blocks(s);
    cancelled(s);
    sluice_close(s);
    return test_end();
}
