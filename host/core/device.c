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
