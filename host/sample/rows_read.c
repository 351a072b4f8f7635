/* rows_read.c - chosen rows of a pool in the type they are stored in, so that scoring them again gives the scan's bits
 * (an i8 row gathered as f32 would round differently).  Neighbouring rows come in one read. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 8 << 20 };

typedef struct piece {
    uint8_t *data;
    float *scale;
    int64_t room; /* rows */
    int fd;
} piece;

static sluice_status read_at(sluice *s, const shard *h, int fd, uint8_t *to, size_t bytes, size_t at)
{
    while (bytes) {
        ssize_t n = pread(fd, to, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return sluice_fail_errno(s, SLUICE_E_IO, "cannot read '%s' at byte %zu", h->path, at);
        if (n == 0)
            return sluice_fail(s, SLUICE_E_DATA, "'%s' ends at byte %zu, it was longer when opened", h->path, at);
        to += n, at += (size_t)n, bytes -= (size_t)n;
    }
    return SLUICE_OK;
}

/* rows [n] of one shard into p->data, packed. */
static sluice_status fill(sluice *s, const shard *h, piece *p, const int64_t *rows, int64_t n, size_t row_bytes)
{
    for (int64_t i = 0; i < n;) {
        int64_t first = rows[i] - h->first_row, run = 1;
        while (i + run < n && h->stride == row_bytes && rows[i + run] == rows[i] + run) run++;
        uint8_t *to = p->data + (size_t)i * row_bytes;
        size_t at = h->offset + (size_t)first * h->stride, bytes = (size_t)run * row_bytes;
        if (h->memory) memcpy(to, h->memory + at, bytes);
        sluice_status st = h->memory ? SLUICE_OK : read_at(s, h, p->fd, to, bytes, at);
        if (st) return st;
        for (int64_t j = 0; h->scale && j < run; j++) p->scale[i + j] = h->scale[first + j];
        i += run;
    }
    return SLUICE_OK;
}

static sluice_status read_shard(sluice *s, const sluice_pool *pool, const shard *h, const int64_t *rows, int64_t at,
                                int64_t end, rows_visit *visit, void *user)
{
    sluice_status st = SLUICE_OK;
    size_t row_bytes = (size_t)pool->width * sluice_type_bytes(h->type);
    piece p = { .fd = -1, .room = row_bytes ? PIECE_BYTES / (int64_t)row_bytes : end - at };
    if (p.room < 1) p.room = 1;
    if (p.room > end - at) p.room = end - at;
    TRY_NEW(p.data, mem_raw(s, p.room, row_bytes));
    TRY_NEW(p.scale, RAW(s, p.room, float));
    if (!h->memory && (p.fd = open(h->path, O_RDONLY | O_CLOEXEC)) < 0)
        FAIL_ERRNO(E_MISSING, "cannot open '%s'", h->path);
    for (int64_t n; at < end; at += n) {
        n = end - at < p.room ? end - at : p.room;
        TRY(fill(s, h, &p, rows + at, n, row_bytes));
        sluice_view x = { p.data, n, pool->width, row_bytes, h->type, h->scale ? p.scale : NULL };
        TRY(visit(s, user, at, x));
    }
out:
    if (p.fd >= 0) close(p.fd);
    mem_free(p.data);
    mem_free(p.scale);
    return st;
}

sluice_status rows_read(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, rows_visit *visit,
                        void *user, double *out_bytes)
{
    sluice_status st = SLUICE_OK;
    for (int64_t at = 0, end; at < m && !st; at = end) {
        const shard *h = pool_shard_of(pool, rows[at]);
        for (end = at; end < m && rows[end] < h->first_row + h->rows; end++)
            ;
        st = read_shard(s, pool, h, rows, at, end, visit, user);
        *out_bytes += (double)(end - at) * (double)pool->width * (double)sluice_type_bytes(h->type);
    }
    return st;
}
