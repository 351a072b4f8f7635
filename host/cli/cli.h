/* cli.h - options are data: one table parses, checks and prints help.  A command: one file cmd_<name>.c, one line in commands.def. */
#ifndef CLI_H
#define CLI_H

#include "sluice.h"
#include <stdbool.h>

typedef enum cli_kind { CLI_PATH, CLI_WORD, CLI_INT, CLI_NUMBER, CLI_FLAG, CLI_LIST } cli_kind;

typedef struct cli_opt {
    const char *name;
    char letter;
    cli_kind kind;
    const char *value;          /* "FILE" */
    void *target;               /* const char **, int64_t *, double *, bool * */
    const char *help;
    const char *alias;          /* another spelling, or NULL */
    bool required;
} cli_opt;

typedef struct cli_command {
    const char *name, *line;    /* "select", "pick the rows to label next" */
    const char *usage;          /* "POOL... --head H --strategy S -k N [options]" */
    const char *example;
    int (*run)(int argc, char **argv);
} cli_command;

#endif
