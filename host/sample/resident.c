/* resident.c - see resident.h. */
#include "resident.h"
#include "backends.h"
#include "device.h"
#include "lane.h"

typedef struct resident {
    const sluice_pool *pool;
    bool whole, given_up;
    resident_block *block;
    int64_t count, room;
} resident;

static bool fits(const sluice *s, const sluice_pool *pool)
{
    size_t left = 0, bytes;
    for (int i = 0; i < s->devices; i++) left += s->backend->memory(s->device[i]) / 2;
    for (int i = 0; i < pool->shard_count; i++) {
        if (mul_overflows((size_t)pool->shards[i].rows, pool->shards[i].stride, &bytes) || bytes > left) return false;
        left -= bytes;
    }
    return true;
}

sluice_status resident_begin(sluice *s, const sluice_pool *pool)
{
    if (!on_device(s) || !fits(s, pool)) return SLUICE_OK;
    s->resident = NEW(s, 1, resident);
    if (!s->resident) return SLUICE_E_MEMORY;
    s->resident->pool = pool;
    return SLUICE_OK;
}

static void release_blocks(sluice *s)
{
    resident *r = s->resident;
    for (int64_t i = 0; i < r->count; i++) dev_free(s, r->block[i].view.data);
    r->count = 0;
    r->whole = false;
}

void resident_end(sluice *s)
{
    if (!s->resident) return;
    release_blocks(s);
    mem_free(s->resident->block);
    mem_free(s->resident);
    s->resident = NULL;
}

static bool keeps(const sluice *s, const sluice_pool *pool)
{
    return s->resident && s->resident->pool == pool && !s->resident->given_up;
}

bool resident_whole(const sluice *s, const sluice_pool *pool) { return keeps(s, pool) && s->resident->whole; }

const resident_block *resident_at(const sluice *s, int64_t i)
{
    return i < s->resident->count ? &s->resident->block[i] : NULL;
}

void resident_give_up(sluice *s)
{
    if (s->resident) s->resident->given_up = true;
}

static sluice_status grow(sluice *s, resident *r)
{
    int64_t room = r->room ? 2 * r->room : 64;
    if (r->count < r->room) return SLUICE_OK;
    resident_block *more = mem_grow(s, r->block, room, sizeof *more);
    if (!more) return SLUICE_E_MEMORY;
    r->block = more, r->room = room;
    return SLUICE_OK;
}

sluice_status resident_keep(sluice *s, const sluice_pool *pool, int64_t first_row, sluice_view *view)
{
    resident *r = s->resident;
    if (!keeps(s, pool)) return SLUICE_OK;
    sluice_status st = grow(s, r);
    if (st) return st;
    char *memory = dev_new(s, (int64_t)lane_bytes(*view), 1);
    if (!memory) {
        s->error[0] = 0;
        resident_give_up(s);
        return SLUICE_OK;
    }
    resident_block *b = &r->block[r->count++];
    *b = (resident_block){ .first_row = first_row, .view = { .data = memory }, .device = s->exec.device };
    st = lane_bring(s, *view, memory, view);
    if (!st) b->view = *view;
    return st;
}

void resident_settle(sluice *s, const sluice_pool *pool, bool complete)
{
    resident *r = s->resident;
    if (!r || r->pool != pool) return;
    r->whole |= complete;
    if (r->given_up || !r->whole) release_blocks(s);
}
