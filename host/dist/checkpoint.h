/* checkpoint.h - what a run knows so far, kept in a folder, so that the same call goes on after it was stopped. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "identity.h"

/* Zeroed: none is kept; and released. */
typedef struct checkpoint {
    char *folder, *path; /* folder/NAME.state */
    char *rows;          /* folder/NAME.rows, for what is written row by row */
    json_t *identity;
    double every_s;
} checkpoint;

/* Nothing is made yet.  name: of the output, so that several jobs can share a folder.  every_s 0: 30. */
sluice_status checkpoint_init(sluice *s, checkpoint *c, const char *folder, const char *name, json_t *identity,
                              double every_s);
/* *out_found: there is one, of the same identity, now in out.  E_DATA: of another one; E_FORMAT: it is damaged. */
sluice_status checkpoint_load(sluice *s, const checkpoint *c, sealed *out, bool *out_found);
sluice_status checkpoint_write(sluice *s, const checkpoint *c, const void *body, size_t bytes);
void checkpoint_remove(const checkpoint *c); /* and the folder, where it is then empty */
/* The output is there: whoever wrote it may have been killed before its checkpoint went. */
void checkpoint_clear(sluice *s, const checkpoint *c);
void checkpoint_release(checkpoint *c);

#endif
