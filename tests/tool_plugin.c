/* tool_plugin.c - tool_plugin PLUGIN: opens it as the library does, under another ABI and under its own.  Prints why it
 * gives no devices, or how many it has; fails where it takes another ABI or says nothing. */
#include "sluice_backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int fails(const char *what, const char *why)
{
    printf("FAIL: %s: '%s'\n", what, why);
    return 1;
}

int main(int argc, char **argv)
{
    char why[512] = "";
    sluice_backend_open_fn *open;
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) return fails("the plug-in does not load", argc == 2 ? dlerror() : "no name");
    *(void **)&open = dlsym(library, "sluice_backend_open");
    if (!open) return fails("no entry", argv[1]);

    sluice_backend table = { 0 };
    sluice_host other = { .abi = sluice_backend_abi() + 1 }, ours = { .abi = sluice_backend_abi() };
    if (open(&other, &table, why, sizeof why) != SLUICE_E_UNSUPPORTED || !strstr(why, "another version"))
        return fails("another ABI is not refused", why);
    if (table.devices || table.op.pack) return fails("a refusal filled the table", why);

    why[0] = 0;
    sluice_status st = open(&ours, &table, why, sizeof why);
    if (st == SLUICE_OK && table.devices > 0) return printf("devices: %d\n", table.devices) < 0;
    if (!*why) return fails("no reason is given", why);
    printf("no device: %s\n", why);
    return 0;
}
