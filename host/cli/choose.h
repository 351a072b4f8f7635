/* choose.h - what select and merge read beside the pool: the files named by their options, opened. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include "cli.h"

typedef struct choice_files {
    cli_list heads;
    const char *logits, *probs, *labels, *exclude, *like, *group;
    cli_input in;
} choice_files;

/* Zeroed is released. */
typedef struct choice {
    sluice_pool *pool;
    cli_model model;
    sluice_labels *labels;
    int64_t *exclude, *like;
    int32_t *group;
} choice;

/* Opens pool and files, and points the fields of a there; per_group: of a, where there are groups. */
sluice_status choice_open(cli *c, const cli_list *pool, const choice_files *f, choice *out, sluice_select_args *a);
void choice_release(choice *x);

/* The names of the files as a text that a partial result carries; free() it. */
char *choice_note(const choice_files *f);
/* Files that f lacks are those of the note, which points into *note_json: choice_note_free() it after f. */
sluice_status choice_from_note(cli *c, choice_files *f, const char *note, void **note_json);
void choice_note_free(void *note_json);

#endif
