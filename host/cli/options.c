/* options.c - parses argv by an option table, checks it and prints it as help.
 *
 * --key=value and --key value; a letter as -k 10 or -k10; "--" ends the options; "-" alone is an argument.  Of an
 * option given twice the last counts, except lists, which collect. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

cli_common common = {
    .mem_mib = 1024, .resumable_exit = 75, .devices = "auto", .math = "exact", .ranks = "auto", .log = "text"
};

static const cli_opt common_opts[] = {
    { "threads", 0, CLI_INT, "N", &common.threads, "threads; 0: what affinity, cgroup and Slurm allow", 0, 4096 },
    { "mem-mib", 0, CLI_INT, "N", &common.mem_mib, "read the pool in pieces that take N MiB together", 1, 1 << 30 },
    { "devices", 0, CLI_WORD, "LIST", &common.devices, "where to compute: auto, cpu, all, or GPUs like cuda:0,cuda:1" },
    { "device-mem-mib", 0, CLI_INT, "N", &common.device_mem_mib, "take at most N MiB of a GPU; 0: what is free", 0,
      1 << 30 },
    { "math", 0, CLI_WORD, "exact|fast", &common.math, "fast: a GPU scores by its tensor cores, other bits" },
    { "ranks", 0, CLI_WORD, "auto|off", &common.ranks,
      "auto: share the work with the other tasks of mpirun or srun; off: alone" },
    { "log", 0, CLI_WORD, "text|json", &common.log, "form of progress and logs on stderr" },
    { "quiet", 0, CLI_FLAG, NULL, &common.quiet, "warnings and errors only" },
    { "help", 0, CLI_FLAG, NULL, &common.help, "print this and exit" },
    { 0 },
};

enum { MAX_OPTS = 64 };

/* The command's rows, then the common ones. */
static int all_opts(const cli_command *command, const cli_opt *out[MAX_OPTS])
{
    int n = 0;
    for (const cli_opt *o = command->opts; o->name && n < MAX_OPTS; o++) out[n++] = o;
    for (const cli_opt *o = common_opts; o->name && n < MAX_OPTS; o++) out[n++] = o;
    return n;
}

/* ---- spelling ---- */

/* Optimal string alignment distance, at most 9; words longer than 63 are never near. */
static int distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    int d[3][64], *before = d[0], *last = d[1], *row = d[2];
    if (la > 63 || lb > 63) return 9;
    for (size_t j = 0; j <= lb; j++) last[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int cost = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < cost) cost = last[j] + 1;
            if (row[j - 1] + 1 < cost) cost = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < cost)
                cost = before[j - 2] + 1;
            row[j] = cost;
        }
        int *spare = before;
        before = last, last = row, row = spare;
    }
    return last[lb] < 9 ? last[lb] : 9;
}

const char *nearest_word(const char *text, const char *const *words, int count)
{
    const char *best = NULL;
    int best_distance = (int)strlen(text) / 3 + 1; /* farther is another word, no slip */
    for (int i = 0; i < count; i++) {
        int d = distance(text, words[i]);
        if (d > best_distance || (best && d == best_distance)) continue;
        best = words[i], best_distance = d;
    }
    return best;
}

static sluice_status unknown_option(cli *c, const char *arg, const cli_opt *const *opts, int n)
{
    const char *words[2 * MAX_OPTS];
    char name[64];
    int count = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
    for (int i = 0; i < n; i++) {
        words[count++] = opts[i]->name;
        if (opts[i]->alias) words[count++] = opts[i]->alias;
    }
    const char *near = nearest_word(name, words, count);
    if (near) return cli_fail(c, SLUICE_E_USAGE, "unknown option '--%s'\nhint: did you mean --%s?", name, near);
    return cli_fail(c, SLUICE_E_USAGE, "unknown option '--%s'\nhint: 'sluice %s --help' lists the options", name,
                    c->command->name);
}

/* ---- values ---- */

static bool is_choices(const cli_opt *o) { return o->kind == CLI_WORD && strchr(o->value, '|') != NULL; }

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = choices; *p; p += *p == '|') {
        size_t word = strcspn(p, "|");
        if (word == len && len > 0 && memcmp(p, text, len) == 0) return true;
        p += word;
    }
    return false;
}

/* `shown` is the option as typed: "--mem-mib" or "-k". */
static sluice_status set_int(cli *c, const cli_opt *o, const char *shown, const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || strchr(" \t\n\v\f\r+", text[0]))
        return cli_fail(c, SLUICE_E_USAGE, "%s: '%s' is not a whole number", shown, text);
    if (errno == ERANGE && v > 0) return cli_fail(c, SLUICE_E_USAGE, "%s: %s is too large", shown, text);
    if (errno == ERANGE || (double)v < o->min)
        return cli_fail(c, SLUICE_E_USAGE, "%s: %s is below %.0f, the least allowed", shown, text, o->min);
    if (o->max > 0 && (double)v > o->max)
        return cli_fail(c, SLUICE_E_USAGE, "%s: %s is above %.0f, the most allowed", shown, text, o->max);
    *(int64_t *)o->target = v;
    return SLUICE_OK;
}

/* The program never calls setlocale(), so strtod reads a point everywhere. */
static sluice_status set_number(cli *c, const cli_opt *o, const char *shown, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || strspn(text, "+-.0123456789eE") != strlen(text) || !isfinite(v))
        return cli_fail(c, SLUICE_E_USAGE, "%s: '%s' is not a number", shown, text);
    if (v < o->min) return cli_fail(c, SLUICE_E_USAGE, "%s: %s is below %g, the least allowed", shown, text, o->min);
    if (o->max > 0 && v > o->max)
        return cli_fail(c, SLUICE_E_USAGE, "%s: %s is above %g, the most allowed", shown, text, o->max);
    *(double *)o->target = v;
    return SLUICE_OK;
}

sluice_status list_add(cli *c, cli_list *list, const char *text)
{
    const char **grown = realloc(list->item, ((size_t)list->count + 1) * sizeof *grown);
    if (!grown) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    list->item = grown;
    list->item[list->count++] = text;
    return SLUICE_OK;
}

static sluice_status set_value(cli *c, const cli_opt *o, const char *shown, const char *text)
{
    if (!*text) return cli_fail(c, SLUICE_E_USAGE, "%s needs a value (%s)", shown, o->value);
    switch (o->kind) {
    case CLI_INT: return set_int(c, o, shown, text);
    case CLI_NUMBER: return set_number(c, o, shown, text);
    case CLI_LIST: return list_add(c, o->target, text);
    default: break;
    }
    if (is_choices(o) && !is_choice(o->value, text))
        return cli_fail(c, SLUICE_E_USAGE, "%s: '%s' is none of %s", shown, text, o->value);
    *(const char **)o->target = text;
    return SLUICE_OK;
}

/* ---- argv ---- */

static bool is_spelling(const cli_opt *o, const char *name, size_t len)
{
    return (strlen(o->name) == len && memcmp(o->name, name, len) == 0) ||
           (o->alias && strlen(o->alias) == len && memcmp(o->alias, name, len) == 0);
}

/* Parses argv[*i] and, where the value stands alone, argv[*i + 1]. */
static sluice_status one_option(cli *c, const cli_opt *const *opts, int n, bool *seen, int argc, char **argv, int *i)
{
    char *arg = argv[*i], shown[64];
    const char *value = NULL;
    int found = -1;
    if (arg[1] == '-') {
        size_t len = strcspn(arg + 2, "=");
        for (int j = 0; j < n && found < 0; j++)
            if (is_spelling(opts[j], arg + 2, len)) found = j;
        if (found < 0) return unknown_option(c, arg, opts, n);
        snprintf(shown, sizeof shown, "--%.*s", (int)len, arg + 2);
        if (arg[2 + len]) value = arg + 2 + len + 1;
    } else {
        for (int j = 0; j < n && found < 0; j++)
            if (opts[j]->letter && opts[j]->letter == arg[1]) found = j;
        snprintf(shown, sizeof shown, "-%c", arg[1]);
        if (found < 0)
            return cli_fail(c, SLUICE_E_USAGE, "unknown option '%s'\nhint: 'sluice %s --help' lists the options", shown,
                            c->command->name);
        if (arg[2]) value = arg + 2 + (arg[2] == '=');
    }
    const cli_opt *o = opts[found];
    seen[found] = true;
    if (o->kind == CLI_FLAG) {
        if (value) return cli_fail(c, SLUICE_E_USAGE, "%s takes no value", shown);
        *(bool *)o->target = true;
        return SLUICE_OK;
    }
    if (!value) {
        if (*i + 1 >= argc) return cli_fail(c, SLUICE_E_USAGE, "%s needs a value (%s)", shown, o->value);
        value = argv[++*i];
    }
    return set_value(c, o, shown, value);
}

static sluice_status check_complete(cli *c, const cli_opt *const *opts, int n, const bool *seen)
{
    const cli_command *command = c->command;
    int args = command->args ? command->args->count : 0;
    if (args < command->arg_min)
        return cli_fail(c, SLUICE_E_USAGE, "%s needs %s\nhint: usage: sluice %s %s", command->name, command->arg_name,
                        command->name, command->usage);
    if (command->args && command->arg_max > 0 && args > command->arg_max)
        return cli_fail(c, SLUICE_E_USAGE, "%s takes %d %s, '%s' is one too many", command->name, command->arg_max,
                        command->arg_name, command->args->item[command->arg_max]);
    for (int j = 0; j < n; j++) {
        if (!opts[j]->required || seen[j]) continue;
        char letter[8] = "";
        if (opts[j]->letter) snprintf(letter, sizeof letter, "-%c, ", opts[j]->letter);
        return cli_fail(c, SLUICE_E_USAGE, "%s needs %s--%s %s: %s", command->name, letter, opts[j]->name,
                        opts[j]->value, opts[j]->help);
    }
    return SLUICE_OK;
}

sluice_status options_parse(cli *c, int argc, char **argv)
{
    const cli_opt *opts[MAX_OPTS];
    bool seen[MAX_OPTS] = { false }, options_end = false;
    int n = all_opts(c->command, opts);
    for (int i = 0; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
            sluice_status st = one_option(c, opts, n, seen, argc, argv, &i);
            if (st) return st;
        } else if (!c->command->args) {
            return cli_fail(c, SLUICE_E_USAGE, "%s takes no arguments, but there is '%s'", c->command->name, argv[i]);
        } else {
            sluice_status st = list_add(c, c->command->args, argv[i]);
            if (st) return st;
        }
    }
    return common.help ? SLUICE_OK : check_complete(c, opts, n, seen);
}

/* ---- help ---- */

/* The default as the variable holds it; nothing for empty words, lists, flags and numbers that nobody can give. */
static void put_default(const cli_opt *o, FILE *f)
{
    const char *text = o->kind == CLI_PATH || o->kind == CLI_WORD ? *(const char *const *)o->target : NULL;
    int64_t count = o->kind == CLI_INT ? *(const int64_t *)o->target : 0;
    if (o->required) fputs(" (required)", f);
    else if (text) fprintf(f, " [%s]", text);
    else if (o->kind == CLI_INT && (double)count >= o->min) fprintf(f, " [%lld]", (long long)count);
    else if (o->kind == CLI_NUMBER) fprintf(f, " [%g]", *(const double *)o->target);
}

static int spelling(const cli_opt *o, char *buf, size_t size)
{
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    return snprintf(buf, size, "  %s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
}

void options_help(const cli_command *command, FILE *f)
{
    const cli_opt *opts[MAX_OPTS];
    char left[128];
    int n = all_opts(command, opts), width = 0;
    for (int j = 0; j < n; j++) {
        int len = spelling(opts[j], left, sizeof left);
        if (len > width && len <= 32) width = len;
    }
    fprintf(f, "usage: sluice %s %s\n%s\n\n", command->name, command->usage, command->line);
    for (int j = 0; j < n; j++) {
        if (opts[j] == common_opts) fputc('\n', f);
        if (spelling(opts[j], left, sizeof left) > width) fprintf(f, "%s\n%*s", left, width, "");
        else fprintf(f, "%-*s", width, left);
        fprintf(f, "  %s", opts[j]->help);
        if (opts[j]->alias) fprintf(f, " (also --%s)", opts[j]->alias);
        put_default(opts[j], f);
        fputc('\n', f);
    }
    fprintf(f, "\nexample: %s\n", command->example);
}
