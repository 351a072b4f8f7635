/* sets.c - see sets.h. */
#include "sets.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sets_release(set_list *l)
{
    for (int i = 0; i < l->count; i++) free((void *)l->set[i].pool.item);
    for (int i = 0; i < l->text_count; i++) free(l->texts[i]);
    free(l->texts);
    free(l->set);
    free((void *)l->names);
    json_decref(l->json);
}

/* A folder's name: no way out of --out, and none of the names that files there have. */
static bool fit_name(const char *p)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    static const char *const taken[] = { "table.md", "summary.json", "report.html", "run.json" };
    if (!p || !*p || *p == '.' || strlen(p) > 100 || p[strspn(p, letters)]) return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(p, taken[i]) == 0) return false;
    return true;
}

/* file: the JSON file, whose folder a relative path starts from; NULL: out of memory. */
static const char *keep_path(set_list *l, const char *file, const char *path)
{
    char *text, **grown = realloc(l->texts, ((size_t)l->text_count + 1) * sizeof *grown);
    const char *slash = strrchr(file, '/');
    int folder = slash && path[0] != '/' ? (int)(slash - file + 1) : 0;
    if (!grown) return NULL;
    l->texts = grown;
    if (asprintf(&text, "%.*s%s", folder, file, path) < 0) return NULL;
    return l->texts[l->text_count++] = text;
}

static sluice_status take_path(cli *c, set_list *l, const char *file, const json_t *v, const char *what,
                               const char **out)
{
    if (!json_is_string(v))
        return cli_fail(c, SLUICE_E_DATA, "'%s': set %d: \"%s\" is not a path", file, l->count, what);
    *out = keep_path(l, file, json_string_value(v));
    return *out ? SLUICE_OK : cli_fail(c, SLUICE_E_MEMORY, "out of memory");
}

/* One path or a list of shards. */
static sluice_status take_pool(cli *c, set_list *l, const char *file, const json_t *v, cli_list *out)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    out->item = calloc(n + 1, sizeof *out->item);
    if (!out->item) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        sluice_status st = take_path(c, l, file, json_is_array(v) ? json_array_get(v, i) : v, "pool", &out->item[i]);
        if (st) return st;
        out->count++;
    }
    return SLUICE_OK;
}

static sluice_status take_count(cli *c, const set_list *l, const char *file, const json_t *v, const char *what,
                                int64_t least, int64_t *out)
{
    *out = json_integer_value(v);
    if (json_is_integer(v) && *out >= least && *out <= 1000000000) return SLUICE_OK;
    return cli_fail(c, SLUICE_E_DATA, "'%s': set %d: \"%s\" is not a whole number from %lld on", file, l->count, what,
                    (long long)least);
}

static sluice_status take_key(cli *c, set_list *l, const char *file, const char *key, const json_t *v, data_set *set)
{
    if (strcmp(key, "pool") == 0) return take_pool(c, l, file, v, &set->pool);
    if (strcmp(key, "labels") == 0) return take_path(c, l, file, v, key, &set->labels);
    if (strcmp(key, "test") == 0) return take_path(c, l, file, v, key, &set->test);
    if (strcmp(key, "test_labels") == 0) return take_path(c, l, file, v, key, &set->test_labels);
    if (strcmp(key, "start") == 0) return take_count(c, l, file, v, key, 0, &set->start);
    if (strcmp(key, "start_per_class") == 0) return take_count(c, l, file, v, key, 1, &set->start_per_class);
    if (strcmp(key, "batch") == 0) return take_count(c, l, file, v, key, 1, &set->batch);
    if (strcmp(key, "rounds") == 0) return take_count(c, l, file, v, key, 0, &set->rounds);
    if (strcmp(key, "name") == 0) {
        set->name = json_string_value(v);
        if (fit_name(set->name)) return SLUICE_OK;
        return cli_fail(c, SLUICE_E_DATA, "'%s': set %d: \"name\" is to be letters, digits and ._- for a folder", file,
                        l->count);
    }
    return cli_fail(c, SLUICE_E_DATA, "'%s': set %d: there is no key \"%s\"", file, l->count, key);
}

static sluice_status take_set(cli *c, set_list *l, const char *file, json_t *from, data_set *set)
{
    const char *key;
    json_t *v;
    *set = (data_set){ .start = -1, .batch = -1, .rounds = -1 };
    json_object_foreach(from, key, v)
    {
        sluice_status st = take_key(c, l, file, key, v, set);
        if (st) return st;
    }
    if (!set->name || !set->pool.count || !set->labels || !set->test || !set->test_labels)
        return cli_fail(c, SLUICE_E_DATA,
                        "'%s': set %d needs \"name\", \"pool\", \"labels\", \"test\" and \"test_labels\"", file,
                        l->count);
    for (int i = 0; i < l->count - 1; i++)
        if (strcmp(l->names[i], set->name) == 0)
            return cli_fail(c, SLUICE_E_DATA, "'%s': sets %d and %d are both \"%s\"", file, i + 1, l->count, set->name);
    return SLUICE_OK;
}

sluice_status sets_read(cli *c, const char *path, set_list *out)
{
    json_error_t why;
    json_t *list = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    size_t n = json_array_size(list);
    out->json = list;
    if (!list && access(path, R_OK) != 0)
        return cli_fail(c, SLUICE_E_MISSING, "cannot read '%s': %s", path, strerror(errno));
    if (!list) return cli_fail(c, SLUICE_E_FORMAT, "cannot read '%s': line %d: %s", path, why.line, why.text);
    if (n < 1 || n > 10000) return cli_fail(c, SLUICE_E_DATA, "'%s' is not a list of data sets", path);
    out->set = calloc(n, sizeof *out->set);
    out->names = calloc(n, sizeof *out->names);
    if (!out->set || !out->names) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        out->count++;
        sluice_status st = take_set(c, out, path, json_array_get(list, i), &out->set[i]);
        if (st) return st;
        out->names[i] = out->set[i].name;
    }
    return SLUICE_OK;
}

sluice_status sets_folder(cli *c, const char *out, bool force)
{
    char *curve;
    if (asprintf(&curve, "%s/curve.csv", out) < 0) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    bool other = path_exists(curve);
    free(curve);
    if (other && !force)
        return cli_fail(c, SLUICE_E_WRITE, "'%s' holds a simulation of one data set\nhint: --force overwrites it", out);
    if (mkdir(out, 0777) && errno != EEXIST)
        return cli_fail(c, SLUICE_E_WRITE, "cannot make folder '%s': %s", out, strerror(errno));
    return SLUICE_OK;
}
