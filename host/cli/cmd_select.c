/* cmd_select.c - sluice select: which rows to label next. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    cli_list pool, heads;
    cli_input in;
    const char *logits, *probs, *strategy, *labels, *exclude, *like, *group, *mix, *out, *link;
    int64_t k, seed, per_group;
    double max_bad, dedupe;
    bool balance, dry_run, force;
} o = { .strategy = "auto", .per_group = 1, .max_bad = 0.01 };

static const cli_opt opts[] = {
    { "count", 'k', CLI_INT, "N", &o.k, "rows to pick for each strategy", .required = true },
    { "head", 0, CLI_LIST, "HEAD", &o.heads,
      "the trained head, .safetensors; several: a committee for bald and its like" },
    { "logits", 0, CLI_PATH, "POOL", &o.logits, "instead of a head: any model's logits [n, c]" },
    { "probs", 0, CLI_PATH, "POOL", &o.probs, "instead of a head: any model's probabilities [n, c]" },
    { "strategy", 0, CLI_WORD, "A,B,...", &o.strategy, "one or several, all in one read; see 'sluice strategies'",
      .alias = "strategies" },
    { "mix", 0, CLI_WORD, "A:N,B:N,...", &o.mix, "instead: shares of the picks, as margin:70,random:20,entropy:10" },
    { "labels", 0, CLI_PATH, "FILE", &o.labels, "rows that have a label and are not picked; a list of ids will do",
      .alias = "labelled" },
    { "exclude", 0, CLI_PATH, "FILE", &o.exclude, "further rows not to pick: csv with an id column, or one id a line" },
    { "like", 0, CLI_PATH, "FILE", &o.like,
      "rows for similarity, never picked: csv with an id column, or one id a line" },
    { "group", 0, CLI_PATH, "FILE", &o.group, "csv of id,group: videos, cameras, patients" },
    { "per-group", 0, CLI_INT, "N", &o.per_group, "at most N picks of a group", 1 },
    { "balance", 0, CLI_FLAG, NULL, &o.balance, "spread the picks evenly over the predicted classes" },
    { "dedupe", 0, CLI_NUMBER, "RADIUS", &o.dedupe,
      "no pick nearer than that to another or to a labelled row; rows have length 1; 0: off", 0, 2 },
    { "out", 'o', CLI_PATH, "FILE", &o.out,
      ".csv, .jsonl or .npy; a folder for several strategies; none: csv to stdout" },
    { "link", 0, CLI_PATH, "DIR", &o.link, "also a folder of links to the picked files, where ids are paths" },
    { "seed", 0, CLI_INT, "N", &o.seed, "of random numbers and of the order among equals" },
    { "max-bad", 0, CLI_NUMBER, "SHARE", &o.max_bad, "of rows that may hold NaN or infinity; they are never picked", 0,
      1 },
    { "dry-run", 0, CLI_FLAG, NULL, &o.dry_run, "print rows, bytes and memory, read nothing" },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.in.classes, "class names of the labels, one a line" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.in.same_ids, "ids of files made for another pool hold for this one" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite --out" },
    { 0 },
};

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

static sluice_status load_labels(cli *c, const sluice_pool *pool, sluice_labels **out_labels)
{
    sluice_status st = check_origin(c, pool, o.labels, &o.in);
    if (st) return st;
    if (is_list_of_ids(o.labels)) return labels_of_ids(c, pool, o.labels, out_labels);
    return sluice_labels_load(c->s, pool, o.labels, o.in.classes, out_labels);
}

/* ---- --dry-run ---- */

static void put_plan(const sluice_pool *pool, const sluice_picks *picks)
{
    sluice_pool_info pi;
    sluice_picks_info info;
    sluice_pool_get_info(pool, &pi);
    sluice_picks_get_info(picks, &info);
    printf("rows        %lld of %lld x %s in %d shards\n", (long long)pi.rows, (long long)pi.width,
           sluice_type_name(pi.type), pi.shards);
    printf("bytes       %.0f, read once\n", pi.bytes);
    printf("memory      %lld MiB of buffers (--mem-mib)\n", (long long)common.mem_mib);
    printf("excluded    %lld rows\n", (long long)info.excluded);
    int64_t left = pi.rows - info.excluded;
    printf("picks       %lld for each of %d strategies\n", (long long)(o.k < left ? o.k : left),
           sluice_picks_lists(picks));
}

/* ---- --link ---- */

/* Where the file of an id is: as the path says, else below the folder of the pool's first file. */
static bool find_file(const char *id, char *out, size_t size)
{
    char *real = realpath(id, NULL);
    if (!real && id[0] != '/' && o.pool.count) {
        char below[4096];
        const char *first = o.pool.item[0], *slash = strrchr(first, '/');
        struct stat facts;
        if (stat(first, &facts) == 0 && S_ISDIR(facts.st_mode)) snprintf(below, sizeof below, "%s/%s", first, id);
        else snprintf(below, sizeof below, "%.*s%s", slash ? (int)(slash - first + 1) : 0, first, id);
        real = realpath(below, NULL);
    }
    int n = real ? snprintf(out, size, "%s", real) : -1;
    free(real);
    return n > 0 && (size_t)n < size;
}

static sluice_status check_linkable(cli *c, const sluice_pool *pool)
{
    sluice_pool_info info;
    char id[4096], file[4096];
    sluice_pool_get_info(pool, &info);
    if (!info.has_ids)
        return cli_fail(c, SLUICE_E_USAGE,
                        "--link: this pool's ids are row numbers, not paths\nhint: name the files with --ids");
    if (info.rows == 0) return SLUICE_OK;
    sluice_pool_id_text(pool, 0, id, sizeof id);
    if (!find_file(id, file, sizeof file)) return cli_fail(c, SLUICE_E_MISSING, "--link: id '%s' is no file here", id);
    return SLUICE_OK;
}

/* DIR/<strategy>-<rank>-<name>; the same link from an earlier run is fine. */
static sluice_status link_list(cli *c, const sluice_pool *pool, const sluice_picks *picks, int list)
{
    const sluice_pick *pick = sluice_picks_get(picks, list);
    for (int64_t i = 0; i < sluice_picks_count(picks, list); i++) {
        char id[4096], file[4096], name[8192];
        sluice_pool_id_text(pool, pick[i].row, id, sizeof id);
        if (!find_file(id, file, sizeof file))
            return cli_fail(c, SLUICE_E_MISSING, "--link: id '%s' is no file here", id);
        const char *base = strrchr(file, '/');
        snprintf(name, sizeof name, "%s/%s-%06lld-%s", o.link, sluice_picks_strategy(picks, list), (long long)i,
                 base + 1);
        if (o.force) unlink(name);
        if (symlink(file, name) == 0) continue;
        char there[4096];
        ssize_t n = errno == EEXIST ? readlink(name, there, sizeof there) : -1;
        if (n == (ssize_t)strlen(file) && memcmp(there, file, (size_t)n) == 0) continue;
        return cli_fail(c, SLUICE_E_WRITE, "--link: cannot make '%s': %s", name, strerror(errno));
    }
    return SLUICE_OK;
}

static sluice_status link_picks(cli *c, const sluice_pool *pool, const sluice_picks *picks)
{
    if (mkdir(o.link, 0777) != 0 && errno != EEXIST)
        return cli_fail(c, SLUICE_E_WRITE, "--link: cannot make folder '%s': %s", o.link, strerror(errno));
    sluice_status st = SLUICE_OK;
    for (int list = 0; list < sluice_picks_lists(picks) && !st; list++) st = link_list(c, pool, picks, list);
    return st;
}

/* ---- run ---- */

static void report(const sluice_picks *picks)
{
    sluice_picks_info info;
    int64_t picked = 0;
    sluice_picks_get_info(picks, &info);
    for (int i = 0; i < sluice_picks_lists(picks); i++) picked += sluice_picks_count(picks, i);
    if (info.done) return; /* the library has said so */
    log_wrote(o.out ? o.out : "standard output", picked, "rows", info.scanned);
}

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL;
    sluice_labels *labels = NULL;
    sluice_picks *picks = NULL;
    cli_model model = { 0 };
    int64_t *exclude = NULL, *like = NULL;
    int32_t *group = NULL;
    sluice_select_args a = { .size = sizeof a,
                             .strategies = o.mix ? NULL : o.strategy,
                             .mix = o.mix,
                             .k = o.k,
                             .seed = (uint64_t)o.seed,
                             .balance = o.balance,
                             .max_bad = o.max_bad,
                             .out = o.out,
                             .force = o.force,
                             .dry_run = o.dry_run,
                             .dedupe = o.dedupe };
    if (o.out) TRY(check_output(c, o.out, !o.mix && strchr(o.strategy, ',')));
    TRY(open_model(c, &o.heads, o.logits, o.probs, &model));
    TRY(open_pool_or_outputs(c, &o.pool, &o.in, o.logits ? o.logits : o.probs, &pool));
    if (o.link) TRY(check_linkable(c, pool));
    if (o.labels) TRY(load_labels(c, pool, &labels));
    if (o.exclude) {
        TRY(check_origin(c, pool, o.exclude, &o.in));
        TRY(sluice_rows_load(c->s, pool, o.exclude, &exclude, &a.exclude_count));
    }
    if (o.like) {
        TRY(check_origin(c, pool, o.like, &o.in));
        TRY(sluice_rows_load(c->s, pool, o.like, &like, &a.like_count));
    }
    if (o.group) {
        TRY(check_origin(c, pool, o.group, &o.in));
        TRY(sluice_groups_load(c->s, pool, o.group, &group));
        a.per_group = o.per_group;
    }
    a.head = model.heads[0], a.logits = model.logits, a.probs = model.probs;
    if (model.head_count > 1)
        a.committee = (const sluice_head *const *)model.heads + 1, a.committee_count = model.head_count - 1;
    a.labels = labels, a.exclude = exclude, a.like = like, a.group = group;
    TRY(sluice_select(c->s, pool, &a, &picks));
    if (!picks) goto out; /* another rank has them */
    if (o.dry_run) {
        put_plan(pool, picks);
        goto out;
    }
    TRY(sluice_picks_write(c->s, picks, o.out ? o.out : "-", o.force));
    if (o.link) TRY(link_picks(c, pool, picks));
    TRY(cli_flush(c));
    report(picks);
out:
    sluice_free(exclude);
    sluice_free(like);
    sluice_free(group);
    sluice_labels_free(labels);
    sluice_picks_free(picks);
    sluice_pool_free(pool);
    model_release(&model);
    return st;
}

const cli_command cli_select = {
    "select",
    "pick the rows to label next",
    "POOL... --head HEAD -k N [options]",
    "sluice select pool.npy --head head.safetensors --labels labels.csv --strategy margin -k 100 --out picks.csv",
    opts,
    &o.pool,
    "POOL",
    0,
    0,
    run,
    .ranks = true,
};
