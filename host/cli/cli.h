/* cli.h - the program.  Options are data: one table parses, checks and prints the help.
 *
 * A command is one file cmd_<name>.c that defines `const cli_command cli_<name>` and one line in commands.def.  A
 * command calls sluice.h, returns a status and never exits; main.c prints the message and turns the status into the
 * exit code. */
#ifndef CLI_H
#define CLI_H

#include "sluice.h"
#include <stdbool.h>
#include <stdio.h>

/* Rows of an option table name only the fields they need. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

typedef struct cli_list { /* zeroed = empty; holds pointers into argv */
    const char **item;
    int count;
} cli_list;

typedef enum cli_kind {
    CLI_PATH,   /* const char *, a file or folder */
    CLI_WORD,   /* const char *, any other text */
    CLI_INT,    /* int64_t within min .. max */
    CLI_NUMBER, /* double within min .. max, finite */
    CLI_FLAG,   /* bool, takes no value */
    CLI_LIST,   /* cli_list, may be repeated */
} cli_kind;

typedef struct cli_opt {
    const char *name; /* "mem-mib" for --mem-mib; NULL ends the table */
    char letter;      /* only for the few typed daily, else 0 */
    cli_kind kind;
    const char *value; /* "FILE"; a CLI_WORD of fixed choices lists them: "text|json" */
    void *target;      /* holds the default until parsed */
    const char *help;
    double min, max;   /* of numbers; max 0: no upper end */
    const char *alias; /* another spelling, or NULL */
    bool required;
} cli_opt;

typedef struct cli cli;
typedef struct cli_command {
    const char *name, *line; /* "select", "pick the rows to label next" */
    const char *usage;       /* "POOL... --head HEAD -k N [options]" */
    const char *example;     /* a whole command line */
    const cli_opt *opts;
    cli_list *args;       /* where positional arguments go, NULL: there are none */
    const char *arg_name; /* "POOL" */
    int arg_min, arg_max; /* how many; arg_max 0: any number */
    sluice_status (*run)(cli *c);
    bool ranks; /* all tasks that mpirun or srun started do it together; else each does it alone */
} cli_command;

/* What a command runs on. */
struct cli {
    sluice *s;
    const cli_command *command;
    int argc; /* the whole command line, for the record */
    char **argv;
    char error[1024]; /* the program's own message; empty: the library's */
    bool resumable;   /* after a signal the same command line goes on */
};

/* ---- options.c ---- */
typedef struct cli_common { /* options of every command */
    int64_t threads, mem_mib, device_mem_mib;
    const char *devices, *math, *ranks, *log;
    int64_t resumable_exit; /* of commands that can go on */
    bool quiet, help;
} cli_common;
extern cli_common common;

/* Fills the targets; fails with E_USAGE and a message in c->error. */
sluice_status options_parse(cli *c, int argc, char **argv);
void options_help(const cli_command *command, FILE *f);
sluice_status list_add(cli *c, cli_list *list, const char *text);
/* The word of `words` nearest to `text` if it is near enough to be meant, else NULL. */
const char *nearest_word(const char *text, const char *const *words, int count);

/* ---- commands.c ---- */
extern const cli_command *const cli_commands[];
extern const int cli_command_count;

/* ---- main.c ---- */
/* Records the program's own message, which may hold a second line "hint: ..."; returns st. */
sluice_status cli_fail(cli *c, sluice_status st, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if ((st = (call)) != SLUICE_OK) goto out;                                                                      \
    } while (0)
#define REFUSE(code, ...)                                                                                              \
    do {                                                                                                               \
        st = cli_fail(c, SLUICE_##code, __VA_ARGS__);                                                                  \
        goto out;                                                                                                      \
    } while (0)
/* Flushes stdout; a full disk or a closed pipe is E_IO, never silence. */
sluice_status cli_flush(cli *c);
/* Whether this process speaks for the job: it is the only one, or the first of several. */
bool cli_speaks(void);
/* The command line as a shell would take it; the caller frees it. */
char *cli_line(const cli *c);

/* ---- signals.c ---- */
void signals_catch(sluice *s); /* the first one cancels what s does, the second ends the program at once */
void signals_end(void);        /* before s is closed */
int signals_exit(const cli *c, sluice_status st); /* the exit code after st */

/* ---- progress.c: stderr ---- */
void progress_start(void);                                 /* looks at the terminal and --log, --quiet */
void progress_job(const sluice *s);                        /* --log json: job and rank of every line; a heartbeat */
void progress_stop(void);                                  /* ends the heartbeat */
void progress_measure(sluice *s, const sluice_pool *pool); /* --log json: the storage's rate, for the summary */
void log_summary(const sluice *s);                         /* --log json: what the scans read and waited for */
void progress_show(void *user, const sluice_progress *p);
void progress_clear(void); /* wipes the bar before other lines */
void log_show(void *user, sluice_level level, const char *line);
void log_error(const char *message); /* "sluice: MESSAGE", hints on lines of their own */
/* The last line after success: "wrote PATH: k rows, n scanned, s seconds"; scanned < 0: left out. */
void log_wrote(const char *path, int64_t rows, const char *noun, int64_t scanned);
void put_json_text(FILE *f, const char *text); /* quoted and escaped */

/* ---- inputs.c: what several commands open the same way ---- */
typedef struct cli_input {
    const char *ids, *tensor, *classes;
    bool same_ids; /* ids of files made for another pool hold for this one too */
} cli_input;
typedef struct cli_model { /* what gives logits: at most one is set */
    sluice_head **heads;   /* [head_count] the first, and what makes a committee of it */
    int head_count;
    sluice_pool *logits, *probs;
} cli_model;

typedef struct cli_resume { /* how a scan goes on after it was stopped */
    const char *folder;
    double every_s;
    bool fresh;
} cli_resume;
/* clang-format off */
#define CLI_RESUME { .every_s = 30 }
#define RESUMABLE_EXIT_OPT                                                                                             \
    { "resumable-exit", 0, CLI_INT, "N", &common.resumable_exit,                                                       \
      "exit code after a signal, where the same command goes on", 1, 255 }
#define RESUME_OPTS(r)                                                                                                 \
    { "checkpoint", 0, CLI_PATH, "DIR", &(r).folder,                                                                   \
      "where a scan keeps its state until all is written; none: OUT.ckpt" },                                           \
    { "checkpoint-s", 0, CLI_NUMBER, "S", &(r).every_s, "every S seconds, and when a signal comes", 0.001 },       \
    { "fresh", 0, CLI_FLAG, NULL, &(r).fresh, "start over, whatever a checkpoint knows" },                             \
    RESUMABLE_EXIT_OPT
/* clang-format on */

/* ---- dry_run.c ---- */
/* What --dry-run says; picks NULL: of a command that picks nothing. */
void put_plan(const sluice_pool *pool, const sluice_plan *p, const sluice_picks *picks, int64_t k, bool json);

bool path_exists(const char *path);
/* OUT.ckpt, or as the options say; NULL where nothing is kept; free() it.  c becomes resumable. */
sluice_status resume_folder(cli *c, const cli_resume *r, const char *out, char **out_folder);
/* Says early what would fail after hours: a folder in the way of a file or the reverse, or no folder to write to. */
sluice_status check_output(cli *c, const char *path, bool to_be_folder);
sluice_status open_pool(cli *c, const cli_list *paths, const cli_input *in, sluice_pool **out_pool);
sluice_status open_model(cli *c, const cli_list *heads, const char *logits, const char *probs, cli_model *out);
void model_release(cli_model *m);
/* With logits or probs the pool may be left out: its rows are then theirs. */
sluice_status open_pool_or_outputs(cli *c, const cli_list *paths, const cli_input *in, const char *outputs,
                                   sluice_pool **out_pool);
sluice_status open_labels(cli *c, const sluice_pool *pool, const char *path, const cli_input *in,
                          sluice_labels **out_labels);
/* A manifest beside `path` that names another pool is E_DATA unless in->same_ids. */
sluice_status check_origin(cli *c, const sluice_pool *pool, const char *path, const cli_input *in);

#endif
