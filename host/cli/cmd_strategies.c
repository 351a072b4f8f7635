/* cmd_strategies.c - sluice strategies: the table of what can be asked for. */
#include "cli.h"

#include <string.h>

static struct {
    bool json;
} o;

static const cli_opt opts[] = {
    { "json", 0, CLI_FLAG, NULL, &o.json, "the table as JSON" },
    { 0 },
};

static void put_row_json(const sluice_strategy *k, const char *needs, bool first)
{
    const char *const text[][2] = {
        { "parameters", k->parameters }, { "what", k->what }, { "paper", k->paper }, { "cost", k->cost }
    };
    printf("%s\n  {\"name\": ", first ? "" : ",");
    put_json_text(stdout, k->name);
    printf(", \"needs_head\": %s, \"needs\": ", k->needs_head ? "true" : "false");
    put_json_text(stdout, needs);
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        printf(", \"%s\": ", text[i][0]);
        put_json_text(stdout, text[i][1]);
    }
    putchar('}');
}

static sluice_status run(cli *c)
{
    const sluice_strategy *k;
    (void)c;
    if (o.json) {
        putchar('[');
        for (int i = 0; (k = sluice_strategy_at(i)); i++) put_row_json(k, sluice_strategy_needs(i), i == 0);
        puts("\n]");
        return SLUICE_OK;
    }
    printf("%-20s %-10s %-19s %s\n", "name", "needs", "parameters", "what it picks first; source; cost");
    for (int i = 0; (k = sluice_strategy_at(i)); i++)
        printf("%-20s %-10s %-19s %s%s%s; %s\n", k->name, sluice_strategy_needs(i),
               *k->parameters ? k->parameters : "-", k->what, *k->paper ? "; " : "", k->paper, k->cost);
    puts("\nhead: or --logits or --probs, where features are not read (energy: --logits); held-out: a head of sluice\n"
         "train, which holds logits of rows left out; rows: labelled ones, of --labels or the head; labels: of "
         "--labels,\n"
         "with their classes, a list of ids being one class; classes: how many, of the head, --labels or classes=N.\n\n"
         "NAME:key=value sets a parameter (power-margin:beta=2); power- goes before any score's name.\n"
         "--mix margin:70,random:30 shares out the picks; --balance and --group work with all of them.");
    return SLUICE_OK;
}

const cli_command cli_strategies = {
    "strategies", "list the ways to pick rows", "[options]", "sluice strategies", opts, NULL, NULL, 0, 0, run,
};
