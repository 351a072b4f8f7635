/* commands.c - the table of commands, made from commands.def. */
#include "cli.h"

#define COMMAND(name) extern const cli_command cli_##name;
#include "commands.def"
#undef COMMAND

const cli_command *const cli_commands[] = {
#define COMMAND(name) &cli_##name,
#include "commands.def"
#undef COMMAND
};

#define COMMAND(name) +1
const int cli_command_count = 0
#include "commands.def"
    ;
#undef COMMAND
