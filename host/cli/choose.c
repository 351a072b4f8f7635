/* choose.c - see choose.h. */
#include "choose.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows not to pick ---- */

/* A list of ids says that rows are labelled, not as what: one class stands for all. */
static sluice_status labels_of_ids(cli *c, const sluice_pool *pool, const char *path, sluice_labels **out_labels)
{
    sluice_status st = SLUICE_OK;
    sluice_pool_info info;
    int64_t *row = NULL, count = 0;
    int32_t *row_class = NULL;
    TRY(sluice_rows_load(c->s, pool, path, &row, &count));
    sluice_pool_get_info(pool, &info);
    row_class = malloc(((size_t)info.rows + 1) * sizeof *row_class);
    if (!row_class) REFUSE(E_MEMORY, "out of memory");
    for (int64_t i = 0; i < info.rows; i++) row_class[i] = -1;
    for (int64_t i = 0; i < count; i++) row_class[row[i]] = 0;
    TRY(sluice_labels_from_array(c->s, pool, row_class, 1, out_labels));
out:
    free(row_class);
    sluice_free(row);
    return st;
}

/* A csv without a label column and a .txt are lists of ids. */
static bool is_list_of_ids(const char *path)
{
    char line[4096] = "";
    const char *dot = strrchr(path, '.');
    if (!dot || (strcmp(dot, ".csv") != 0 && strcmp(dot, ".txt") != 0)) return false;
    FILE *f = fopen(path, "r");
    bool read = f && fgets(line, sizeof line, f);
    if (f) fclose(f);
    if (!read) return false;
    for (char *rest, *word = strtok_r(line, ",\"\r\n", &rest); word; word = strtok_r(NULL, ",\"\r\n", &rest))
        if (strcmp(word, "label") == 0) return false;
    return true;
}

static sluice_status load_labels(cli *c, const sluice_pool *pool, const choice_files *f, sluice_labels **out_labels)
{
    sluice_status st = check_origin(c, pool, f->labels, &f->in);
    if (st) return st;
    if (is_list_of_ids(f->labels)) return labels_of_ids(c, pool, f->labels, out_labels);
    return sluice_labels_load(c->s, pool, f->labels, f->in.classes, out_labels);
}

/* ---- all of it ---- */

static sluice_status load_rows(cli *c, const sluice_pool *pool, const char *path, const cli_input *in,
                               int64_t **out_rows, int64_t *out_count)
{
    sluice_status st = check_origin(c, pool, path, in);
    return st ? st : sluice_rows_load(c->s, pool, path, out_rows, out_count);
}

sluice_status choice_open(cli *c, const cli_list *pool, const choice_files *f, choice *out, sluice_select_args *a)
{
    sluice_status st = SLUICE_OK;
    cli_model *model = &out->model;
    TRY(open_model(c, &f->heads, f->logits, f->probs, model));
    TRY(open_pool_or_outputs(c, pool, &f->in, f->logits ? f->logits : f->probs, &out->pool));
    if (f->labels) TRY(load_labels(c, out->pool, f, &out->labels));
    if (f->exclude) TRY(load_rows(c, out->pool, f->exclude, &f->in, &out->exclude, &a->exclude_count));
    if (f->like) TRY(load_rows(c, out->pool, f->like, &f->in, &out->like, &a->like_count));
    if (f->group) {
        TRY(check_origin(c, out->pool, f->group, &f->in));
        TRY(sluice_groups_load(c->s, out->pool, f->group, &out->group));
    }
    a->head = model->heads[0], a->logits = model->logits, a->probs = model->probs;
    if (model->head_count > 1)
        a->committee = (const sluice_head *const *)model->heads + 1, a->committee_count = model->head_count - 1;
    a->labels = out->labels, a->exclude = out->exclude, a->like = out->like, a->group = out->group;
out:
    return st;
}

void choice_release(choice *x)
{
    sluice_free(x->exclude);
    sluice_free(x->like);
    sluice_free(x->group);
    sluice_labels_free(x->labels);
    sluice_pool_free(x->pool);
    model_release(&x->model);
    *x = (choice){ 0 };
}

/* ---- as a note ---- */

typedef struct named {
    const char *key, **path;
} named;
enum { NAMED = 9 };

static void name_files(choice_files *f, named out[NAMED])
{
    const named all[NAMED] = { { "logits", &f->logits },   { "probs", &f->probs },      { "labels", &f->labels },
                               { "exclude", &f->exclude }, { "like", &f->like },        { "group", &f->group },
                               { "ids", &f->in.ids },      { "tensor", &f->in.tensor }, { "classes", &f->in.classes } };
    memcpy(out, all, sizeof all);
}

char *choice_note(const choice_files *files)
{
    choice_files f = *files;
    named file[NAMED];
    json_t *note = json_object(), *heads = json_array();
    name_files(&f, file);
    for (int i = 0; i < NAMED; i++)
        if (*file[i].path) json_object_set_new(note, file[i].key, json_string(*file[i].path));
    for (int i = 0; i < f.heads.count; i++) json_array_append_new(heads, json_string(f.heads.item[i]));
    json_object_set_new(note, "heads", heads);
    json_object_set_new(note, "same_ids", json_boolean(f.in.same_ids));
    char *text = json_dumps(note, JSON_COMPACT);
    json_decref(note);
    return text;
}

sluice_status choice_from_note(cli *c, choice_files *f, const char *text, void **note_json)
{
    named file[NAMED];
    json_t *note = json_loads(text, 0, NULL);
    const json_t *heads = json_object_get(note, "heads");
    bool model = f->heads.count || f->logits || f->probs; /* one of the three is given here */
    *note_json = note;
    name_files(f, file);
    for (int i = model ? 2 : 0; i < NAMED; i++)
        if (!*file[i].path) *file[i].path = json_string_value(json_object_get(note, file[i].key));
    for (size_t i = 0; i < json_array_size(heads) && !model; i++) {
        const char *path = json_string_value(json_array_get(heads, i));
        sluice_status st = path ? list_add(c, &f->heads, path) : SLUICE_OK;
        if (st) return st;
    }
    if (json_is_true(json_object_get(note, "same_ids"))) f->in.same_ids = true;
    return SLUICE_OK;
}

void choice_note_free(void *note_json) { json_decref(note_json); }
