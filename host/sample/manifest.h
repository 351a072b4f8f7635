/* manifest.h - what a result was made from, beside the result; and whether an output that exists is that result. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include "head.h"
#include <jansson.h>

/* NULL on failure of memory; json_decref() what comes back. */
json_t *manifest_pool(const sluice_pool *pool);
json_t *manifest_head(const sluice_head *head);
json_t *manifest_heads(const sluice_head *const *heads, int count);
json_t *manifest_labels(const sluice_labels *labels);
json_t *manifest_array(const void *data, int64_t count, size_t size); /* count and hash */
json_t *manifest_hash(uint64_t hash);                                 /* 16 hexadecimal digits, as text */
json_t *manifest_seed(uint64_t seed);                                 /* decimal, as text: JSON numbers end at 2^53 */
const char *manifest_math(const sluice *s);                           /* "exact" or "fast", as asked for */
/* Where it ran, among what differs between two runs of the same inputs: into run, backend and, where these are, devices. */
void manifest_place(const sluice *s, json_t *run);
/* XXH3-64 of the object's canonical text, as 16 digits. */
sluice_status manifest_digest(sluice *s, const json_t *inputs, char out[17]);

/* "scores.npy" -> "scores.manifest.json"; mem_free() it. */
char *manifest_path(sluice *s, const char *path);
sluice_status manifest_write(sluice *s, const char *path, json_t *m); /* atomic; overwrites */

/* whole: its hash is in the manifest */
typedef struct manifest_output {
    const char *path;
    bool whole;
} manifest_output;

/* Whether outputs [count] may be written, with their manifest at path:
 *   none there                          go on
 *   the manifest tells of the same inputs and all are there, whole      *out_done
 *   the same inputs, but not all there  go on (a run that was killed)
 *   force                               go on
 *   else E_WRITE: what is there has other inputs. */
sluice_status manifest_check(sluice *s, const char *path, const char inputs_hash[17], const manifest_output *outputs,
                             int count, bool force, bool *out_done);

#endif
