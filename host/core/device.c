/* device.c - see device.h. */
#include "device.h"
#include "backends.h"

#include <string.h>

void *dev_new(sluice *s, int64_t count, size_t size)
{
    size_t bytes;
    void *p = NULL;
    if (!on_device(s)) return mem_raw(s, count, size);
    if (count < 0 || mul_overflows((size_t)count, size, &bytes)) {
        sluice_fail(s, SLUICE_E_MEMORY, "out of device memory: %lld x %zu bytes", (long long)count, size);
        return NULL;
    }
    return s->backend->alloc(&s->exec, bytes, &p) == SLUICE_OK ? p : NULL;
}

void dev_free(sluice *s, void *p)
{
    if (!p) return;
    if (on_device(s)) s->backend->release(&s->exec, p);
    else mem_free(p);
}

sluice_status dev_copy(sluice *s, void *to, const void *from, size_t bytes)
{
    if (to == from || bytes == 0) return SLUICE_OK;
    if (on_device(s)) return s->backend->copy(&s->exec, to, from, bytes);
    memcpy(to, from, bytes);
    return SLUICE_OK;
}

sluice_status dev_clear(sluice *s, void *p, size_t bytes)
{
    static const char zeros[1 << 16];
    sluice_status st = SLUICE_OK;
    for (size_t at = 0; at < bytes && !st; at += sizeof zeros)
        st = dev_copy(s, (char *)p + at, zeros, bytes - at < sizeof zeros ? bytes - at : sizeof zeros);
    return st;
}

void *dev_seat(sluice *s, void *array, int64_t count, size_t size)
{
    return on_device(s) ? dev_new(s, count, size) : array;
}

void *dev_seat_filled(sluice *s, void *array, int64_t count, size_t size)
{
    void *seat = dev_seat(s, array, count, size);
    if (!seat || dev_copy(s, seat, array, (size_t)count * size) == SLUICE_OK) return seat;
    dev_unseat(s, seat, array);
    return NULL;
}

void dev_unseat(sluice *s, void *seat, const void *array)
{
    if (seat != array) dev_free(s, seat);
}

sluice_status dev_hold(sluice *s, const float *x, int64_t n, int64_t d)
{
    sluice_view rows = sluice_rows(x, SLUICE_F32, n, d);
    return on_device(s) && n && d ? s->backend->hold(&s->exec, &rows) : SLUICE_OK;
}

void dev_drop(sluice *s, const float *x)
{
    if (on_device(s)) s->backend->drop(&s->exec, x);
}

bool dev_pin(sluice *s, void *array, size_t bytes)
{
    if (!s->backend->pin) return false;
    if (s->backend->pin(&s->exec, array, bytes) == SLUICE_OK) return true;
    log_line(s, SLUICE_DEBUG, "copies to the device will wait: %s", s->error);
    s->error[0] = 0;
    return false;
}

void dev_unpin(sluice *s, void *array, bool pinned)
{
    if (pinned) s->backend->unpin(&s->exec, array);
}

/* ---- what stays with an exec ---- */

enum { ROOM = 0, KEPT_BYTES = 256 << 20 }; /* the owner of rooms; of one exec's arrays, beside the newest owner's */

typedef struct kept {
    struct kept *next; /* newest first */
    const void *exec;
    uint64_t owner;
    int part;
    size_t bytes;
    void *p;
} kept;

/* The link to it, or the last one of the list. */
static kept **find(sluice *s, uint64_t owner, int part)
{
    kept **at = &s->kept;
    while (*at && !((*at)->exec == s->exec.state && (*at)->owner == owner && (*at)->part == part)) at = &(*at)->next;
    return at;
}

static void *add(sluice *s, uint64_t owner, int part, size_t bytes)
{
    kept *k = NEW(s, 1, kept);
    void *p = k && bytes <= INT64_MAX ? dev_new(s, (int64_t)bytes, 1) : NULL;
    if (p) {
        *k = (kept){ s->kept, s->exec.state, owner, part, bytes, p };
        s->kept = k;
    } else mem_free(k);
    return p;
}

static void drop(sluice *s, sluice_exec *x, kept **at)
{
    kept *k = *at;
    *at = k->next;
    s->backend->release(x, k->p);
    mem_free(k);
}

/* The oldest arrays of other owners, where all on s->exec are too much. */
static void drop_old(sluice *s, uint64_t owner)
{
    size_t bytes = 0;
    for (kept **at = &s->kept; *at;) {
        const kept *k = *at;
        bool ours = k->exec == s->exec.state && k->owner != ROOM;
        if (ours) bytes += k->bytes;
        if (ours && k->owner != owner && bytes > KEPT_BYTES) drop(s, &s->exec, at);
        else at = &(*at)->next;
    }
}

void *dev_keep(sluice *s, uint64_t owner, int part, const void *array, size_t bytes)
{
    if (!on_device(s) || !array) return (void *)(uintptr_t)array;
    kept *k = *find(s, owner, part);
    if (k) return k->p;
    void *p = add(s, owner, part, bytes);
    if (p && dev_copy(s, p, array, bytes)) {
        drop(s, &s->exec, &s->kept);
        return NULL;
    }
    if (p) drop_old(s, owner);
    return p;
}

void *dev_room(sluice *s, int slot, size_t bytes)
{
    kept **at = find(s, ROOM, slot);
    if (*at && (*at)->bytes >= bytes) return (*at)->p;
    if (*at) drop(s, &s->exec, at);
    return add(s, ROOM, slot, bytes);
}

void dev_forget(sluice *s, sluice_exec *x)
{
    for (kept **at = &s->kept; *at;) {
        if ((*at)->exec == x->state) drop(s, x, at);
        else at = &(*at)->next;
    }
}
