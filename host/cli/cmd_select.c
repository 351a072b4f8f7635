/* cmd_select.c - sluice select: which rows to label next. */
#include "choose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    cli_list pool;
    choice_files files;
    const char *strategy, *mix, *out, *link, *shard;
    int64_t k, seed, per_group;
    double max_bad, dedupe;
    bool balance, dry_run, json, force;
    cli_resume resume;
} o = { .strategy = "auto", .per_group = 1, .max_bad = 0.01, .resume = CLI_RESUME };

static const cli_opt opts[] = {
    { "count", 'k', CLI_INT, "N", &o.k, "rows to pick for each strategy", .required = true },
    { "head", 0, CLI_LIST, "HEAD", &o.files.heads,
      "the trained head, .safetensors; several: a committee for bald and its like" },
    { "logits", 0, CLI_PATH, "POOL", &o.files.logits, "instead of a head: any model's logits [n, c]" },
    { "probs", 0, CLI_PATH, "POOL", &o.files.probs, "instead of a head: any model's probabilities [n, c]" },
    { "strategy", 0, CLI_WORD, "A,B,...", &o.strategy, "one or several, all in one read; see 'sluice strategies'",
      .alias = "strategies" },
    { "mix", 0, CLI_WORD, "A:N,B:N,...", &o.mix, "instead: shares of the picks, as margin:70,random:20,entropy:10" },
    { "labels", 0, CLI_PATH, "FILE", &o.files.labels,
      "rows that have a label and are not picked; a list of ids will do", .alias = "labelled" },
    { "exclude", 0, CLI_PATH, "FILE", &o.files.exclude,
      "further rows not to pick: csv with an id column, or one id a line" },
    { "like", 0, CLI_PATH, "FILE", &o.files.like,
      "rows for similarity, never picked: csv with an id column, or one id a line" },
    { "group", 0, CLI_PATH, "FILE", &o.files.group, "csv of id,group: videos, cameras, patients" },
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
    { "dry-run", 0, CLI_FLAG, NULL, &o.dry_run,
      "print what the run would take: rows, bytes, memory, disk, time; write nothing" },
    { "json", 0, CLI_FLAG, NULL, &o.json, "with --dry-run: as JSON" },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.files.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.files.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.files.in.classes, "class names of the labels, one a line" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.files.in.same_ids, "ids of files made for another pool hold for this one" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite --out" },
    { "shard", 0, CLI_WORD, "I/N", &o.shard,
      "scan only part I of N, from 0, of the pool; 'sluice merge' joins what goes to --out" },
    RESUME_OPTS(o.resume),
    { 0 },
};

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

/* "3/8" */
static sluice_status parse_shard(cli *c, sluice_select_args *a)
{
    int used = -1;
    if (!o.shard) return SLUICE_OK;
    bool plain = strspn(o.shard, "0123456789/") == strlen(o.shard) && strlen(o.shard) < 20;
    if (!plain || sscanf(o.shard, "%d/%d%n", &a->shard, &a->shards, &used) != 2 || o.shard[used])
        return cli_fail(c, SLUICE_E_USAGE, "--shard: '%s' is not I/N, as 0/4", o.shard);
    if (a->shard < 0 || a->shards < 1 || a->shard >= a->shards)
        return cli_fail(c, SLUICE_E_USAGE, "--shard: there is no part %d of %d: parts count from 0", a->shard,
                        a->shards);
    if (!o.out) return cli_fail(c, SLUICE_E_USAGE, "--shard: the part needs a file: --out");
    if (o.link) return cli_fail(c, SLUICE_E_USAGE, "--shard: a part picks no rows to --link");
    return SLUICE_OK;
}

/* The last line of a part; NULL after a --dry-run or where all was done. */
static void report_part(const sluice_picks *picks)
{
    sluice_picks_info info;
    sluice_picks_get_info(picks, &info);
    if (!info.done) log_wrote(o.out, 1, "part", info.scanned);
}

static sluice_status write_picks(cli *c, const sluice_pool *pool, const sluice_picks *picks)
{
    sluice_status st = SLUICE_OK;
    TRY(sluice_picks_write(c->s, picks, o.out ? o.out : "-", o.force));
    if (o.link) TRY(link_picks(c, pool, picks));
    TRY(cli_flush(c));
    report(picks);
out:
    return st;
}

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_picks *picks = NULL;
    choice files = { 0 };
    sluice_plan plan = { 0 };
    char *folder = NULL, *note = NULL;
    sluice_select_args a = { .size = sizeof a,
                             .strategies = o.mix ? NULL : o.strategy,
                             .mix = o.mix,
                             .k = o.k,
                             .seed = (uint64_t)o.seed,
                             .per_group = o.files.group ? o.per_group : 0,
                             .balance = o.balance,
                             .max_bad = o.max_bad,
                             .out = o.out,
                             .force = o.force,
                             .dry_run = o.dry_run,
                             .plan = &plan,
                             .dedupe = o.dedupe,
                             .checkpoint_s = o.resume.every_s,
                             .fresh = o.resume.fresh };
    if (o.json && !o.dry_run) REFUSE(E_USAGE, "--json belongs to --dry-run; picks as JSON are --out FILE.jsonl");
    TRY(parse_shard(c, &a));
    if (o.out) TRY(check_output(c, o.out, !o.mix && !o.shard && strchr(o.strategy, ',')));
    TRY(resume_folder(c, &o.resume, o.out, &folder));
    if (o.shard && !(note = choice_note(&o.files))) REFUSE(E_MEMORY, "out of memory");
    a.checkpoint = folder, a.note = note;
    TRY(choice_open(c, &o.pool, &o.files, &files, &a));
    if (o.link) TRY(check_linkable(c, files.pool));
    if (!o.dry_run) progress_measure(c->s, a.logits ? a.logits : a.probs ? a.probs : files.pool);
    TRY(sluice_select(c->s, files.pool, &a, &picks));
    if (!picks) goto out; /* another rank has them */
    if (o.dry_run) put_plan(files.pool, &plan, picks, o.k, o.json);
    else if (o.shard) report_part(picks);
    else TRY(write_picks(c, files.pool, picks));
out:
    free(folder);
    free(note);
    sluice_picks_free(picks);
    choice_release(&files);
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
