/* cmd_merge.c - sluice merge: the picks of a selection that was made in parts. */
#include "choose.h"

#include <stdlib.h>

static struct {
    cli_list args, pool;
    choice_files files;
    const char *out;
    bool force;
} o;

static const cli_opt opts[] = {
    { "out", 'o', CLI_PATH, "FILE", &o.out,
      ".csv, .jsonl or .npy; a folder for several strategies; none: csv to stdout" },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "instead of the first argument, which is then a PART too",
      .alias = "features" },
    { "head", 0, CLI_LIST, "HEAD", &o.files.heads, "where the head is now; none: where it was for the parts" },
    { "logits", 0, CLI_PATH, "POOL", &o.files.logits, "the same for --logits ..." },
    { "probs", 0, CLI_PATH, "POOL", &o.files.probs, "... and --probs" },
    { "labels", 0, CLI_PATH, "FILE", &o.files.labels, "... and --labels", .alias = "labelled" },
    { "exclude", 0, CLI_PATH, "FILE", &o.files.exclude, "... and --exclude" },
    { "like", 0, CLI_PATH, "FILE", &o.files.like, "... and --like" },
    { "group", 0, CLI_PATH, "FILE", &o.files.group, "... and --group" },
    { "ids", 0, CLI_PATH, "FILE", &o.files.in.ids, "... and --ids" },
    { "tensor", 0, CLI_WORD, "NAME", &o.files.in.tensor, "... and --tensor" },
    { "classes", 0, CLI_PATH, "FILE", &o.files.in.classes, "... and --classes" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.files.in.same_ids, "ids of files made for another pool hold for this one" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite --out" },
    { 0 },
};

static void report(const sluice_picks *picks)
{
    sluice_picks_info info;
    int64_t picked = 0;
    for (int i = 0; i < sluice_picks_lists(picks); i++) picked += sluice_picks_count(picks, i);
    sluice_picks_get_info(picks, &info);
    if (!info.done) log_wrote(o.out ? o.out : "standard output", picked, "rows", -1);
}

/* The first argument is the pool unless --pool says it. */
static sluice_status split_arguments(cli *c, cli_list *out_parts)
{
    *out_parts = o.args;
    if (!o.pool.count && o.args.count) {
        sluice_status st = list_add(c, &o.pool, o.args.item[0]);
        if (st) return st;
        out_parts->item++, out_parts->count--;
    }
    if (out_parts->count > 0) return SLUICE_OK;
    return cli_fail(c, SLUICE_E_USAGE, "merge needs POOL and PART...\nhint: usage: sluice merge %s", c->command->usage);
}

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_picks *picks = NULL;
    choice files = { 0 };
    char *note = NULL;
    void *names = NULL;
    cli_list parts = { 0 };
    sluice_select_args a = { .size = sizeof a, .out = o.out, .force = o.force };
    TRY(split_arguments(c, &parts));
    TRY(sluice_part_note(c->s, parts.item[0], &note));
    TRY(choice_from_note(c, &o.files, note, &names));
    TRY(choice_open(c, &o.pool, &o.files, &files, &a));
    TRY(sluice_merge(c->s, files.pool, parts.item, parts.count, &a, &picks));
    TRY(sluice_picks_write(c->s, picks, o.out ? o.out : "-", o.force));
    TRY(cli_flush(c));
    report(picks);
out:
    sluice_picks_free(picks);
    choice_release(&files);
    choice_note_free(names);
    sluice_free(note);
    return st;
}

const cli_command cli_merge = {
    "merge",
    "join the parts of 'select --shard I/N' into picks",
    "POOL PART... --out FILE [options]",
    "sluice merge pool.npy part-*.s --out picks.csv",
    opts,
    &o.args,
    "POOL and PART...",
    2,
    0,
    run,
};
