/* inputs.c - what several commands open the same way. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool path_exists(const char *path)
{
    struct stat facts;
    return lstat(path, &facts) == 0;
}

sluice_status resume_folder(cli *c, const cli_resume *r, const char *out, char **out_folder)
{
    size_t n = out ? strlen(out) : 0;
    while (n > 1 && out[n - 1] == '/') n--;
    *out_folder = NULL;
    if (!r->folder && n == 0) return SLUICE_OK;
    int bytes = r->folder ? asprintf(out_folder, "%s", r->folder) : asprintf(out_folder, "%.*s.ckpt", (int)n, out);
    if (bytes < 0) return *out_folder = NULL, cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    c->resumable = true;
    return SLUICE_OK;
}

sluice_status check_output(cli *c, const char *path, bool to_be_folder)
{
    sluice_status st = SLUICE_OK;
    struct stat facts;
    if (stat(path, &facts) == 0 && !!S_ISDIR(facts.st_mode) != to_be_folder)
        return cli_fail(c, SLUICE_E_WRITE, "cannot write '%s': it is %s", path,
                        to_be_folder ? "no folder" : "a folder");
    char *copy = strdup(path);
    if (!copy) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    const char *folder = dirname(copy);
    if (stat(folder, &facts) == 0 && !S_ISDIR(facts.st_mode))
        st = cli_fail(c, SLUICE_E_WRITE, "cannot write '%s': '%s' is no folder", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        st = cli_fail(c, SLUICE_E_WRITE, "cannot write '%s': folder '%s': %s", path, folder, strerror(errno));
    free(copy);
    return st;
}

sluice_status open_pool(cli *c, const cli_list *paths, const cli_input *in, sluice_pool **out_pool)
{
    sluice_pool_args a = {
        .size = sizeof a, .paths = paths->item, .path_count = paths->count, .ids = in->ids, .tensor = in->tensor
    };
    return sluice_pool_open(c->s, &a, out_pool);
}

static sluice_status open_one(cli *c, const char *path, const cli_input *in, sluice_pool **out_pool)
{
    sluice_pool_args a = { .size = sizeof a, .paths = &path, .path_count = 1, .ids = in ? in->ids : NULL };
    return sluice_pool_open(c->s, &a, out_pool);
}

sluice_status open_pool_or_outputs(cli *c, const cli_list *paths, const cli_input *in, const char *outputs,
                                   sluice_pool **out_pool)
{
    if (paths->count > 0) return open_pool(c, paths, in, out_pool);
    if (outputs) return open_one(c, outputs, in, out_pool);
    return cli_fail(c, SLUICE_E_USAGE, "%s needs POOL\nhint: usage: sluice %s %s", c->command->name, c->command->name,
                    c->command->usage);
}

sluice_status open_model(cli *c, const cli_list *heads, const char *logits, const char *probs, cli_model *out)
{
    sluice_status st = SLUICE_OK;
    if ((heads->count > 0) + !!logits + !!probs > 1) REFUSE(E_USAGE, "--head, --logits and --probs exclude each other");
    out->heads = calloc((size_t)heads->count + 1, sizeof(void *));
    if (!out->heads) REFUSE(E_MEMORY, "out of memory");
    for (int i = 0; i < heads->count; i++) {
        TRY(sluice_head_load(c->s, heads->item[i], &out->heads[i]));
        out->head_count++;
    }
    if (logits) TRY(open_one(c, logits, NULL, &out->logits));
    if (probs) TRY(open_one(c, probs, NULL, &out->probs));
out:
    return st;
}

void model_release(cli_model *m)
{
    for (int i = 0; i < m->head_count; i++) sluice_head_free(m->heads[i]);
    free(m->heads);
    sluice_pool_free(m->logits);
    sluice_pool_free(m->probs);
}

sluice_status open_labels(cli *c, const sluice_pool *pool, const char *path, const cli_input *in,
                          sluice_labels **out_labels)
{
    sluice_status st = check_origin(c, pool, path, in);
    return st ? st : sluice_labels_load(c->s, pool, path, in->classes, out_labels);
}

/* ---- where ids come from ---- */

/* The fingerprint in PATH's manifest (PATH without ending + .manifest.json) as text; NULL when there is none. */
static json_t *manifest_of(const char *path)
{
    char name[4096];
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    size_t stem = dot ? (size_t)(dot - path) : strlen(path);
    int n = snprintf(name, sizeof name, "%.*s.manifest.json", (int)stem, path);
    return n > 0 && (size_t)n < sizeof name ? json_load_file(name, 0, NULL) : NULL;
}

sluice_status check_origin(cli *c, const sluice_pool *pool, const char *path, const cli_input *in)
{
    sluice_status st = SLUICE_OK;
    char here[32];
    sluice_pool_info info;
    json_t *manifest = in->same_ids ? NULL : manifest_of(path);
    const char *there =
        json_string_value(json_object_get(json_object_get(json_object_get(manifest, "inputs"), "pool"), "fingerprint"));
    sluice_pool_get_info(pool, &info);
    snprintf(here, sizeof here, "%016" PRIx64, info.fingerprint);
    if (there && strcmp(there, here) != 0)
        REFUSE(E_DATA,
               "'%s' belongs to another pool: its manifest says %s, this pool is %s\nhint: --same-ids says that its "
               "ids hold here too",
               path, there, here);
out:
    json_decref(manifest);
    return st;
}
