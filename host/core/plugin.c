/* plugin.c - shared objects that are opened at run time: libsluice_cuda.so, libsluice_mpi.so. */
#include "core.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beside an installed libsluice or program: PREFIX/lib/sluice. */
static void beside_us(const char *file, char *path, size_t bytes)
{
    Dl_info us;
    static const char here;
    path[0] = 0;
    if (!dladdr(&here, &us) || !us.dli_fname) return;
    const char *slash = strrchr(us.dli_fname, '/');
    int folder = slash ? (int)(slash - us.dli_fname) : 1;
    snprintf(path, bytes, "%.*s/../lib/sluice/%s", folder, slash ? us.dli_fname : ".", file);
}

/* Never closed: a plug-in's runtime does not survive that. */
void *plugin_entry(const char *file, const char *entry, char *why, size_t why_bytes)
{
    char path[4096];
    const char *folder = getenv("SLUICE_PLUGIN_DIR");
    if (folder && *folder) snprintf(path, sizeof path, "%s/%s", folder, file);
    else beside_us(file, path, sizeof path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *found = NULL;
    const char *error = library ? NULL : dlerror();
    if (error) snprintf(why, why_bytes, "the plug-in cannot be loaded: %s", error);
    else if (!(found = dlsym(library, entry))) snprintf(why, why_bytes, "%s is no plug-in of sluice", file);
    return found;
}
