/* backends.h - the devices a context runs on.  See backends.c. */
#ifndef BACKENDS_H
#define BACKENDS_H

#include "core.h"

/* Fills s->backend, s->device and s->exec by s->opt.devices. */
sluice_status backend_pick(sluice *s);

/* The CUDA plug-in's table, or why there is none. */
sluice_status backend_cuda(const sluice *s, sluice_backend *out, char *why, size_t why_bytes);

/* A stream of its own on the context's i-th device, counted round; on the CPU a copy of s->exec. */
sluice_status exec_new(sluice *s, int i, sluice_exec *out_x);
void exec_free(sluice *s, sluice_exec *x);

/* Ends what runs deferred on s->exec.  st: what went wrong before, which is what it then returns. */
sluice_status exec_wait(sluice *s, sluice_status st);

/* Where ops run: sluice_op_...(s, ...) runs on s->backend and s->exec. */
typedef struct place {
    const sluice_backend *backend;
    sluice_exec exec;
} place;
place place_here(const sluice *s);
place place_cpu(const sluice *s); /* for what lies in host memory already */
place place_go_cpu(sluice *s);
/* From here on ops run there, until place_back(). */
place place_go(sluice *s, const place *to);
static inline void place_back(sluice *s, place was) { s->backend = was.backend, s->exec = was.exec; }

/* work, and where a device has no room for it the same on the CPU: the same bits. */
sluice_status place_with_room(sluice *s, sluice_status (*work)(sluice *s, void *user), void *user);

/* Whether op outputs and inputs may be device memory. */
static inline bool on_device(const sluice *s) { return s->backend->alloc != NULL; }

#endif
