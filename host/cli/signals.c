/* signals.c - signals end a command soon, with what it knows kept where it can go on: 75 (--resumable-exit), else
 * 128 + the signal.
 *
 * Schedulers send SIGTERM, or SIGUSR1 ahead of the end; people SIGINT.  The handler does no more than set flags. */
#include "cli.h"

#include <signal.h>
#include <unistd.h>

static sluice *volatile running;
static volatile sig_atomic_t caught;

/* The first signal asks the library to stop and clean up, the second ends the program at once. */
static void on_signal(int number)
{
    if (caught) _exit(128 + number);
    caught = number;
    if (running) sluice_cancel(running);
}

void signals_catch(sluice *s)
{
    static const int stopping[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };
    struct sigaction stop = { .sa_handler = on_signal };
    running = s;
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) sigaction(stopping[i], &stop, NULL);
}

void signals_end(void) { running = NULL; }

int signals_exit(const cli *c, sluice_status st)
{
    if (st == SLUICE_E_CANCELLED && c->resumable) return (int)common.resumable_exit;
    return st && caught ? 128 + caught : sluice_exit_code(st);
}
