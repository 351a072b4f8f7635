/* references.h - the rows that strategies measure others by: labelled rows, and the reference sample, the SAMPLE_ROWS
 * rows of lowest hash that may be picked.  Gathered at first use, in the space that is asked for. */
#ifndef REFERENCES_H
#define REFERENCES_H

#include "exclusions.h"
#include "source.h"

enum { SAMPLE_ROWS = 1 << 16, SPACES = SPACE_HEAD + 1 };

/* Rows in the order of their hash64(seed, id), then id. */
typedef struct row_set {
    int64_t n, d;
    sluice_entry *entry; /* [n] */
    int32_t *target;     /* [n] class, or NULL: not known */
    float *x;            /* [n, d] */
} row_set;

typedef struct references {
    const sluice_pool *pool;
    const sluice_head *head;     /* or NULL */
    const sluice_labels *labels; /* or NULL: then the head's training rows, where they are of this pool */
    const exclusions *out;       /* rows that are not in the sample */
    uint64_t seed;
    double bytes; /* read so far */
    /* kept */
    row_set labelled[SPACES], sample[SPACES];
    bool has_labelled[SPACES], has_sample[SPACES];
} references;

void references_release(references *r);

/* Rows that hold a NaN or an infinity are left out.  The sets stay the references'.  Fail with E_USAGE (no head for
 * SPACE_HEAD) or E_MEMORY. */
sluice_status references_labelled(sluice *s, references *r, space where, const row_set **out_set);
/* The sample's rows without their vectors, bad ones among them; the caller's. */
sluice_status references_draw(sluice *s, const references *r, row_set *out_set);
sluice_status references_sample(sluice *s, references *r, space where, const row_set **out_set);

sluice_entry references_entry(const references *r, int64_t row); /* without a key */
void entries_sort_by_hash(sluice_entry *e, int64_t n);
/* set->x [n, d] of the rows of set->entry. */
sluice_status references_gather(sluice *s, references *r, space where, row_set *set);
/* Without the rows that hold a NaN or an infinity. */
sluice_status row_set_drop_bad(sluice *s, row_set *set);
void row_set_release(row_set *set);

#endif
