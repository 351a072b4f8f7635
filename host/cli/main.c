/* main.c - finds the command, opens a context, runs it, reports and ends with the right exit code.
 *
 * Exit codes: sluice_exit_code() of the status; after a signal see signals.c.  Results go to stdout, all else to
 * stderr. */
#include "cli.h"
#include "comm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

sluice_status cli_fail(cli *c, sluice_status st, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(c->error, sizeof c->error, format, list);
    va_end(list);
    return st;
}

sluice_status cli_flush(cli *c)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return SLUICE_OK;
    return cli_fail(c, SLUICE_E_IO, "cannot write to standard output: %s", strerror(errno ? errno : EIO));
}

/* One word so that a shell reads it back. */
static void put_word(FILE *f, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:@%+";
    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, f);
        return;
    }
    fputc('\'', f);
    for (; *word; word++)
        if (*word == '\'') fputs("'\\''", f);
        else fputc(*word, f);
    fputc('\'', f);
}

char *cli_line(const cli *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    fputs("sluice", f);
    for (int i = 1; i < c->argc; i++) {
        fputc(' ', f);
        put_word(f, c->argv[i]);
    }
    return fclose(f) == 0 ? text : NULL;
}

/* A closed stdout, stderr or stdin would let an output file take its number, and messages would land inside it. */
static void hold_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            _exit(74);
}

/* ---- several processes, one job ---- */

static bool speaks = true;
bool cli_speaks(void) { return speaks; }

/* What the others of a job say is what the first says; without --ranks every process is a job of its own. */
static void find_speaker(const cli *c)
{
    speaks = !c->command->ranks || strcmp(common.ranks, "off") == 0 || launch_find().rank == 0;
}

/* Tasks that were given different work cannot do it together. */
static sluice_status check_same_line(cli *c)
{
    char *line = cli_line(c);
    if (!line) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    uint64_t mine = hash_bytes(line, strlen(line), 0), first = mine;
    free(line);
    sluice_status st = comm_broadcast(c->s, &first, sizeof first, 0);
    if (st || mine == first) return st;
    return cli_fail(c, SLUICE_E_USAGE,
                    "this task's command line differs from rank 0's, and the tasks of a job share its work\n"
                    "hint: --ranks off lets each task do its own");
}

/* All end with the status and the message of the first that failed. */
static sluice_status agree(cli *c, sluice_status st)
{
    if (!c->s) return st;
    if (*c->error) snprintf(c->s->error, sizeof c->s->error, "%s", c->error);
    *c->error = 0;
    return comm_agree(c->s, st);
}

/* ---- top level ---- */

static void top_help(FILE *f)
{
    fputs("usage: sluice COMMAND [options]\n"
          "choose which rows of an unlabelled pool to label next\n\n",
          f);
    for (int i = 0; i < cli_command_count; i++)
        fprintf(f, "  %-10s  %s\n", cli_commands[i]->name, cli_commands[i]->line);
    fputs("\n'sluice COMMAND --help' lists a command's options; 'sluice --version' prints the version.\n\n"
          "example: sluice train pool.npy --labels labels.csv --out head.safetensors\n"
          "         sluice select pool.npy --head head.safetensors --labels labels.csv -k 100 --out picks.csv\n",
          f);
}

static sluice_status unknown_command(cli *c, const char *name)
{
    const char *words[64];
    for (int i = 0; i < cli_command_count; i++) words[i] = cli_commands[i]->name;
    const char *near = nearest_word(name, words, cli_command_count);
    if (near) return cli_fail(c, SLUICE_E_USAGE, "unknown command '%s'\nhint: did you mean %s?", name, near);
    return cli_fail(c, SLUICE_E_USAGE, "unknown command '%s'\nhint: 'sluice --help' lists the commands", name);
}

static const cli_command *find_command(const char *name)
{
    for (int i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i]->name, name) == 0) return cli_commands[i];
    return NULL;
}

static sluice_status run_command(cli *c)
{
    sluice_status st = options_parse(c, c->argc - 2, c->argv + 2);
    find_speaker(c);
    if (st) return st;
    if (common.help) {
        if (cli_speaks()) options_help(c->command, stdout);
        return cli_flush(c);
    }
    progress_start();
    sluice_options o = { .size = sizeof o,
                         .threads = (int)common.threads,
                         .mem_mib = common.mem_mib,
                         .devices = common.devices,
                         .device_mem_mib = common.device_mem_mib,
                         .math = common.math,
                         .ranks = c->command->ranks && strcmp(common.ranks, "auto") == 0,
                         .log = log_show,
                         .progress = progress_show };
    st = sluice_open(&o, &c->s);
    if (st) return st;
    progress_job(c->s);
    signals_catch(c->s);
    st = agree(c, check_same_line(c));
    if (!st) st = c->command->run(c);
    if (!st) st = cli_flush(c);
    log_summary(c->s);
    return agree(c, st);
}

static sluice_status run(cli *c)
{
    const char *first = c->argc > 1 ? c->argv[1] : NULL;
    if (!first || strcmp(first, "--help") == 0 || strcmp(first, "help") == 0) {
        top_help(first ? stdout : stderr);
        return first ? cli_flush(c) : cli_fail(c, SLUICE_E_USAGE, "no command given");
    }
    if (strcmp(first, "--version") == 0) {
        printf("sluice %s\n", sluice_version());
        return cli_flush(c);
    }
    if (first[0] == '-')
        return cli_fail(c, SLUICE_E_USAGE,
                        "the command comes first, '%s' is an option\nhint: 'sluice --help' lists the commands", first);
    c->command = find_command(first);
    return c->command ? run_command(c) : unknown_command(c, first);
}

/* libgomp reads this before main() begins, so the program starts itself once more.  Threads that wait for work spin by
 * default; on a machine that others use too, that made training ten times slower.  After 1,000 turns they sleep. */
static void spin_less(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    setenv("GOMP_SPINCOUNT", "1000", 1);
    execv("/proc/self/exe", argv); /* where this fails, the default does */
}

int main(int argc, char **argv)
{
    spin_less(argv);
    cli c = { .argc = argc, .argv = argv };
    hold_standard_files();
    signal(SIGPIPE, SIG_IGN); /* a write then fails with EPIPE and is reported */
    signal(SIGXFSZ, SIG_IGN); /* and one above the size limit with EFBIG */
    sluice_status st = run(&c);
    progress_stop();
    progress_clear();
    if (st && cli_speaks()) {
        const char *message = c.error;
        if (!*message && c.s) message = sluice_error(c.s);
        log_error(*message ? message : sluice_status_text(st));
    }
    signals_end();
    sluice_close(c.s);
    return signals_exit(&c, st);
}
