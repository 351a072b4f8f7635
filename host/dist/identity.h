/* identity.h - which run a file of intermediate results belongs to, and that it is whole.
 *
 * An identity is a JSON object of all that decides a result: version, task, part, and the manifest's inputs with base
 * names, sizes and hashes, never paths or times, so that a pool may be moved between two runs. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "core.h"
#include <jansson.h>

/* Fails with E_DATA, naming path and the first member of mine that theirs has not or has differently; what else theirs
 * has does not matter. */
sluice_status identity_check(sluice *s, const char *path, const json_t *theirs, const json_t *mine);

/* Bytes under an identity, as they come from a file. */
typedef struct sealed {
    json_t *identity;
    const uint8_t *body;
    size_t bytes;
    char *file; /* what body lies in */
} sealed;

/* Atomic; overwrites. */
sluice_status sealed_write(sluice *s, const char *path, const json_t *identity, const void *body, size_t bytes);
/* Fails with E_MISSING, E_IO or E_FORMAT: not such a file, cut short, changed.  out is then untouched. */
sluice_status sealed_read(sluice *s, const char *path, sealed *out);
void sealed_release(sealed *f); /* zeroed is released */

#endif
