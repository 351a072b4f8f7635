/* reader.c - blocks of rows of a pool, read ahead while the caller computes.  Contract in reader.h.
 *
 * A ring of slots, each with one block: it is started (its bytes are on their way), handed out, and given back.  Shards
 * in memory are handed out in place; blocks of a file that lie in the page cache are mapped when they are handed out and
 * unmapped when given back; all others are read by an engine of reader_io.h into the slot's buffer, past the page cache
 * where the pool is larger than memory: it would leave nothing in there for the next scan.  Which it is shows in no
 * result. */
#include "reader.h"
#include "backends.h"
#include "reader_io.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum {
    AHEAD = 3,
    SMALL_AHEAD = 32,
    COLD_BLOCKS = 8
}; /* slots beyond those that the caller holds; COLD_BLOCKS: in_place() */
/* bench_reader, 2 threads adding up 1 GiB from the page cache, share of the rate from memory: blocks of 1 MiB 46%, 2 MiB
 * 72%, 4 MiB 86%, 8 MiB 88%, 16 MiB 93%.  More threads want larger blocks; more than this is felt in memory alone. */
static const size_t block_target = 16u << 20, huge_page = 2u << 20;

typedef enum slot_state { FREE, STARTED, HELD } slot_state;

typedef struct slot {
    slot_state state;
    uint64_t turn; /* slots are handed out in this order */
    const shard *sh;
    int64_t first, rows; /* within the shard */
    shard_file *file;    /* NULL: the shard is in memory */
    uint8_t *buffer;
    read_job job; /* where the bytes are in the file, in any case */
    bool reading; /* the job was started and not waited for */
    read_map map; /* base NULL: not mapped */
} slot;

struct reader {
    const sluice_pool *pool;
    int64_t next_row, end_row; /* of the pool: rows not started yet */
    int next_shard;
    int64_t max_rows;
    size_t block_bytes; /* of one buffer */
    slot *slot;         /* [slots] */
    int slots;
    uint64_t started; /* turns given so far */
    uint8_t *ring;    /* the buffers */
    size_t ring_bytes;
    bool want_pinned;
    sluice *pinned;      /* whose backend pinned the ring; NULL: it is plain memory */
    shard_file *file;    /* of the shard that was started last */
    shard_file *broken;  /* a file found wrong when a block was given back; NULL: none */
    read_engine *engine; /* NULL until a file is read */
    int cold;            /* so many blocks are read without a look at the page cache */
    bool guarded;        /* read_map_begin() was called */
    bool direct;         /* reads go past the page cache */
    const char *want;    /* read_path_wanted() */
    double bytes, stall;
};

/* ---- sizes ---- */

static size_t row_bytes(const reader *r, const shard *sh)
{
    return (size_t)r->pool->width * sluice_type_bytes(sh->type);
}

/* Bytes from the first element of the first of rows rows to behind the last of the last: a stride may be wider than
 * a row, and the file may end with the last row. */
static size_t span_bytes(const reader *r, const shard *sh, int64_t rows)
{
    return (size_t)(rows - 1) * sh->stride + row_bytes(r, sh);
}

static int64_t block_rows(const reader *r, const shard *sh)
{
    size_t row = row_bytes(r, sh), stride = sh->stride ? sh->stride : 1, room = r->block_bytes;
    if (r->direct) room -= 2 * READ_PAGE; /* for the rest of the first and of the last page */
    int64_t rows = row < room ? (int64_t)((room - row) / stride) + 1 : 1;
    return rows < r->max_rows ? rows : r->max_rows;
}

int64_t reader_block_rows(const reader *r)
{
    int64_t most = 0;
    for (int i = 0; i < r->pool->shard_count; i++) {
        const shard *sh = &r->pool->shards[i];
        int64_t rows = block_rows(r, sh);
        if (rows > sh->rows) rows = sh->rows;
        if (rows > most) most = rows;
    }
    return most;
}

int reader_slots(const reader *r) { return r->slots; }
size_t reader_memory(const reader *r) { return (size_t)r->slots * r->block_bytes; }

/* The bytes of the longest block that any shard can give: less than a block's where shards are small. */
static size_t longest_bytes(const reader *r)
{
    size_t most = 1;
    for (int i = 0; i < r->pool->shard_count; i++) {
        const shard *sh = &r->pool->shards[i];
        int64_t rows = sh->rows < r->max_rows ? sh->rows : r->max_rows;
        size_t bytes = rows ? span_bytes(r, sh, rows) : 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

/* A pool that is larger than memory, where a row leaves room for the pages around it. */
static bool go_direct(const reader *r, size_t row)
{
    if (r->block_bytes % READ_PAGE || r->block_bytes < row + 2 * READ_PAGE) return false;
    if (r->want) return strcmp(r->want, "direct") == 0;
    double bytes = 0;
    for (int i = 0; i < r->pool->shard_count; i++)
        if (!r->pool->shards[i].memory) bytes += (double)r->pool->shards[i].file_bytes;
    return bytes > 0 && bytes > (double)memory_available();
}

/* Blocks of about 16 MiB in a few buffers; less memory makes the blocks smaller, then the buffers fewer.  Where shards are
 * small there are more buffers, of the size of a shard: as many bytes on their way, from as many files. */
static sluice_status plan_buffers(sluice *s, reader *r, const reader_plan *plan)
{
    size_t row = 1, mem_bytes = plan->mem_bytes ? plan->mem_bytes : s->mem_bytes;
    size_t held = plan->held > 0 ? (size_t)plan->held : 1, slots = held + AHEAD;
    size_t target = plan->block_bytes && plan->block_bytes < block_target ? plan->block_bytes : block_target;
    for (int i = 0; i < r->pool->shard_count; i++) {
        size_t b = row_bytes(r, &r->pool->shards[i]);
        if (b > row) row = b;
    }
    if (row > mem_bytes)
        return sluice_fail(s, SLUICE_E_MEMORY, "a row of %zu bytes does not fit the %zu bytes allowed for reading", row,
                           mem_bytes);
    if (mem_bytes / row < slots) slots = mem_bytes / row;
    size_t most = mem_bytes / slots, longest = (longest_bytes(r) + 3 * READ_PAGE) & ~(size_t)(READ_PAGE - 1);
    r->block_bytes = target > row ? target : row;
    if (r->block_bytes > most) r->block_bytes = most;
    assert(longest > 0);
    if (longest < r->block_bytes) {
        size_t all = slots * r->block_bytes;
        r->block_bytes = longest;
        slots = all / longest < held + SMALL_AHEAD ? all / longest : held + SMALL_AHEAD;
    }
    if (r->block_bytes >= huge_page && row <= (r->block_bytes & ~(huge_page - 1))) r->block_bytes &= ~(huge_page - 1);
    else if (row <= (r->block_bytes & ~(size_t)(READ_PAGE - 1))) r->block_bytes &= ~(size_t)(READ_PAGE - 1);
    r->slots = (int)slots;
    r->direct = go_direct(r, row);
    r->slot = NEW(s, r->slots, slot);
    return r->slot ? SLUICE_OK : SLUICE_E_MEMORY;
}

/* A limit on locked memory may refuse it: then copies are slower, and no less right. */
static void pin_ring(sluice *s, reader *r)
{
    if (!r->want_pinned || !s->backend->pin) return;
    if (s->backend->pin(&s->exec, r->ring, r->ring_bytes) == SLUICE_OK) r->pinned = s;
    else log_line(s, SLUICE_DEBUG, "copies to the device will wait: %s", s->error);
    s->error[0] = 0;
}

static sluice_status map_buffers(sluice *s, reader *r)
{
    r->ring_bytes = (size_t)r->slots * r->block_bytes + huge_page;
    void *p = mmap(NULL, r->ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return sluice_fail_errno(s, SLUICE_E_MEMORY, "cannot get %zu bytes of buffers", r->ring_bytes);
    r->ring = p;
    uint8_t *at = (uint8_t *)(((uintptr_t)p + huge_page - 1) & ~(uintptr_t)(huge_page - 1));
    madvise(at, (size_t)r->slots * r->block_bytes, MADV_HUGEPAGE); /* a wish */
    for (int i = 0; i < r->slots; i++) r->slot[i].buffer = at + (size_t)i * r->block_bytes;
    pin_ring(s, r);
    return SLUICE_OK;
}

/* ---- one block ---- */

static sluice_status start_read(sluice *s, reader *r, slot *x)
{
    sluice_status st = SLUICE_OK;
    if (!r->ring) TRY(map_buffers(s, r));
    if (!r->engine) TRY(read_engine_open(s, r->want, &r->engine));
    x->job.direct = r->direct ? x->file->direct : -1;
    x->job.to = x->buffer + (x->job.direct >= 0 ? x->job.offset % READ_PAGE : 0);
    r->engine->start(r->engine, &x->job);
    x->reading = true;
out:
    return st;
}

/* Whether to map the block rather than read it.  Behind one that had to be read, the next are read unasked: the
 * kernel's own read-ahead may just have fetched them, and a disk that reads on is faster than one that waits for us. */
static bool in_place(reader *r, const slot *x)
{
    if (r->want) return !strcmp(r->want, "map");
    if (r->want_pinned) return false;
    if (r->cold > 0) {
        r->cold--;
        return false;
    }
    if (read_map_resident(x->job.fd, x->job.offset, x->job.bytes)) return true;
    r->cold = COLD_BLOCKS;
    return false;
}

static bool map_block(reader *r, slot *x)
{
    if (!r->guarded) read_map_begin();
    r->guarded = true;
    return read_map_open(x->job.fd, x->job.offset, x->job.bytes, &x->map);
}

/* What was used in place may have changed under way: it is looked at again afterwards, and the next call tells. */
static void unmap_block(reader *r, slot *x)
{
    bool whole = read_map_close(&x->map);
    if (r->broken || (whole && shard_file_same(x->file))) return;
    r->broken = x->file;
    r->broken->users++;
}

static void release(reader *r, slot *x)
{
    if (x->reading) r->engine->wait(r->engine, &x->job);
    x->reading = false;
    if (x->map.base) unmap_block(r, x);
    shard_file_drop(x->file);
    x->file = NULL;
    x->state = FREE;
}

/* Opens the file of x's shard, unless it is open, and says where the block is in it. */
static sluice_status locate(sluice *s, reader *r, slot *x)
{
    sluice_status st = SLUICE_OK;
    if (!r->file || r->file->sh != x->sh) {
        shard_file_drop(r->file);
        r->file = NULL;
        TRY(shard_file_open(s, x->sh, &r->file));
        posix_fadvise(r->file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        if (r->direct) shard_file_go_direct(r->file);
    }
    x->file = r->file;
    x->file->users++;
    x->job.fd = x->file->fd;
    x->job.offset = x->sh->offset + (uint64_t)x->first * x->sh->stride;
    x->job.bytes = span_bytes(r, x->sh, x->rows);
out:
    return st;
}

static sluice_status start_block(sluice *s, reader *r, slot *x)
{
    sluice_status st = SLUICE_OK;
    const shard *sh = &r->pool->shards[r->next_shard];
    int64_t first = r->next_row - sh->first_row, rows = block_rows(r, sh);
    if (rows > sh->rows - first) rows = sh->rows - first;
    if (rows > r->end_row - r->next_row) rows = r->end_row - r->next_row;
    x->sh = sh, x->first = first, x->rows = rows;
    if (!sh->memory) {
        TRY(locate(s, r, x));
        if (!in_place(r, x)) TRY(start_read(s, r, x));
    }
    x->state = STARTED;
    x->turn = r->started++;
    r->next_row += rows;
out:
    if (st) release(r, x);
    return st;
}

static sluice_status start_ahead(sluice *s, reader *r)
{
    for (int i = 0; i < r->slots; i++) {
        if (r->slot[i].state != FREE) continue;
        while (r->next_row < r->end_row &&
               r->next_row >= r->pool->shards[r->next_shard].first_row + r->pool->shards[r->next_shard].rows)
            r->next_shard++;
        if (r->next_row == r->end_row) return SLUICE_OK;
        sluice_status st = start_block(s, r, &r->slot[i]);
        if (st) return st;
    }
    return SLUICE_OK;
}

/* Has the bytes of a started block; *out_data is where its first row begins. */
static sluice_status finish_block(sluice *s, reader *r, slot *x, const uint8_t **out_data)
{
    if (!x->file) {
        *out_data = x->sh->memory + x->sh->offset + (size_t)x->first * x->sh->stride;
        return SLUICE_OK;
    }
    sluice_status st = SLUICE_OK;
    if (!x->reading && map_block(r, x)) {
        *out_data = x->map.data;
        return SLUICE_OK;
    }
    if (!x->reading) TRY(start_read(s, r, x));
    double began = clock_seconds();
    r->engine->wait(r->engine, &x->job);
    x->reading = false;
    r->stall += clock_seconds() - began;
    TRY(shard_file_result(s, x->file, &x->job));
    TRY(shard_file_check(s, x->file));
    *out_data = x->job.to;
out:
    return st;
}

static sluice_status tell_broken(sluice *s, const shard_file *f)
{
    sluice_status st = shard_file_check(s, f);
    return st ? st
              : sluice_fail(s, SLUICE_E_IO, "cannot read '%s': pages of it could not be had from the disk",
                            f->sh->path);
}

/* ---- calls ---- */

sluice_status reader_open(sluice *s, const sluice_pool *pool, const reader_plan *plan, reader **out_r)
{
    sluice_status st = SLUICE_OK;
    reader *r;
    TRY_NEW(r, NEW(s, 1, reader));
    if (plan->first_row < 0 || plan->rows < 0 || plan->first_row > pool->rows ||
        plan->rows > pool->rows - plan->first_row)
        FAIL(E_INTERNAL, "rows %lld + %lld are not in a pool of %lld", (long long)plan->first_row,
             (long long)plan->rows, (long long)pool->rows);
    r->pool = pool;
    r->next_row = plan->first_row;
    r->end_row = plan->rows ? plan->first_row + plan->rows : pool->rows;
    r->max_rows = plan->max_rows > 0 ? plan->max_rows : INT64_MAX;
    r->want_pinned = plan->pinned;
    TRY(read_path_wanted(s, &r->want));
    TRY(plan_buffers(s, r, plan));
    *out_r = r, r = NULL;
out:
    reader_close(r);
    return st;
}

sluice_status reader_next(sluice *s, reader *r, block *out_b, bool *out_end)
{
    sluice_status st = SLUICE_OK;
    *out_end = false;
    if (__atomic_load_n(&s->cancelled, __ATOMIC_RELAXED)) FAIL(E_CANCELLED, "reading stopped before the end");
    if (r->broken) TRY(tell_broken(s, r->broken));
    TRY(start_ahead(s, r));
    slot *x = NULL;
    for (int i = 0; i < r->slots; i++)
        if (r->slot[i].state == STARTED && (!x || r->slot[i].turn < x->turn)) x = &r->slot[i];
    if (!x && r->next_row < r->end_row) FAIL(E_INTERNAL, "all %d blocks are held", r->slots);
    if (!x) {
        *out_end = true;
        return SLUICE_OK;
    }
    const uint8_t *data;
    TRY(finish_block(s, r, x, &data));
    x->state = HELD;
    r->bytes += (double)span_bytes(r, x->sh, x->rows);
    *out_b = (block){ .first_row = x->sh->first_row + x->first, .rows = x->rows, .owner = x };
    out_b->view = (sluice_view){ .data = (void *)(uintptr_t)data,
                                 .rows = x->rows,
                                 .cols = r->pool->width,
                                 .stride = x->sh->stride,
                                 .type = x->sh->type,
                                 .scale = x->sh->scale ? x->sh->scale + x->first : NULL };
out:
    return st;
}

void reader_done(reader *r, block *b)
{
    release(r, b->owner);
    b->owner = NULL;
}

double reader_bytes(const reader *r) { return r->bytes; }
double reader_stall_seconds(const reader *r) { return r->stall; }

void reader_close(reader *r)
{
    if (!r) return;
    for (int i = 0; r->slot && i < r->slots; i++) release(r, &r->slot[i]);
    shard_file_drop(r->file);
    shard_file_drop(r->broken);
    if (r->guarded) read_map_end();
    if (r->engine) r->engine->close(r->engine);
    if (r->pinned) r->pinned->backend->unpin(&r->pinned->exec, r->ring);
    if (r->ring) munmap(r->ring, r->ring_bytes);
    mem_free(r->slot);
    mem_free(r);
}

const char *reader_backend(void)
{
    read_engine *e = read_uring_open();
    if (!e) return "pread";
    e->close(e);
    return "io_uring";
}
