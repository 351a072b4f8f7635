/* device.h - memory where ops compute: a device's own where the context runs on one, plain memory on a CPU.
 *
 * Ops take it like any other; host code never reads or writes it but by dev_copy().  All of this runs on s->exec, in
 * the order of the calls, so that nothing waits between two ops. */
#ifndef DEVICE_H
#define DEVICE_H

#include "core.h"

/* Products checked, 64-byte aligned, not zeroed; NULL and a recorded failure that names the device. */
void *dev_new(sluice *s, int64_t count, size_t size);
void dev_free(sluice *s, void *p); /* NULL allowed */
#define DEV(s, count, type) ((type *)dev_new(s, count, sizeof(type)))

/* From any side to any side; what is host memory may be used when it returns. */
sluice_status dev_copy(sluice *s, void *to, const void *from, size_t bytes);
sluice_status dev_clear(sluice *s, void *p, size_t bytes);

/* Where ops find an array that the host fills: the array itself on a CPU, room for dev_copy() on a device. */
void *dev_seat(sluice *s, void *array, int64_t count, size_t size);
void *dev_seat_filled(sluice *s, void *array, int64_t count, size_t size); /* and copied */
void dev_unseat(sluice *s, void *seat, const void *array);

/* Rows x [n, d] of the host that many ops are given, whole or a part of them: copied to the device once, where these ops
 * find them until dev_drop().  Nobody writes them meanwhile.  On a CPU, and for no rows, nothing happens.  Rows that are
 * held already stay so. */
sluice_status dev_hold(sluice *s, const float *x, int64_t n, int64_t d);
void dev_drop(sluice *s, const float *x);

/* Makes copies of host memory to and from a device faster.  False where there is no device, or the system's limit on
 * locked memory forbids it: copies are no less right then. */
bool dev_pin(sluice *s, void *array, size_t bytes);
void dev_unpin(sluice *s, void *array, bool pinned);

/* What stays with s->exec from call to call, until exec_free().
 * dev_keep: an array of the host where ops compute, the array itself on a CPU; copied when (owner, part) comes for the
 * first time, and dropped when newer owners' arrays want the memory.
 * dev_room: room of a device, not zeroed; the next call for the slot may move it.
 * NULL and a recorded failure where there is no memory. */
void *dev_keep(sluice *s, uint64_t owner, int part, const void *array, size_t bytes);
void *dev_room(sluice *s, int slot, size_t bytes);
void dev_forget(sluice *s, sluice_exec *x); /* exec_free() calls it */

#endif
