/* checkpoint.c - see checkpoint.h. */
#include "checkpoint.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

enum { EVERY_S = 30 };

sluice_status checkpoint_init(sluice *s, checkpoint *c, const char *folder, const char *name, json_t *identity,
                              double every_s)
{
    sluice_status st = SLUICE_OK;
    if (!identity) return sluice_fail(s, SLUICE_E_MEMORY, "out of memory for a checkpoint");
    *c = (checkpoint){ .identity = json_incref(identity), .every_s = every_s > 0 ? every_s : EVERY_S };
    TRY_NEW(c->folder, mem_text(s, folder));
    TRY_NEW(c->path, mem_format(s, "%s/%s.state", folder, name));
    TRY_NEW(c->rows, mem_format(s, "%s/%s.rows", folder, name));
out:
    return st;
}

void checkpoint_release(checkpoint *c)
{
    mem_free(c->folder), mem_free(c->path), mem_free(c->rows);
    json_decref(c->identity);
    *c = (checkpoint){ 0 };
}

sluice_status checkpoint_load(sluice *s, const checkpoint *c, sealed *out, bool *out_found)
{
    sluice_status st = SLUICE_OK;
    *out_found = false;
    if (!c->path || access(c->path, F_OK) != 0) return SLUICE_OK;
    TRY(sealed_read(s, c->path, out));
    st = identity_check(s, c->path, out->identity, c->identity);
    if (st) sealed_release(out);
out:
    *out_found = !st;
    return st ? sluice_hint(s, st, "--fresh starts over") : SLUICE_OK;
}

sluice_status checkpoint_write(sluice *s, const checkpoint *c, const void *body, size_t bytes)
{
    sluice_status st = file_make_folder(s, c->folder);
    return st ? st : sealed_write(s, c->path, c->identity, body, bytes);
}

/* What was being written when a run was killed. */
static void clear_temporaries(const checkpoint *c)
{
    const char *name = path_base(c->path);
    size_t length = strlen(name);
    DIR *d = opendir(c->folder);
    for (struct dirent *f; d && (f = readdir(d));)
        if (strncmp(f->d_name, name, length) == 0 && strncmp(f->d_name + length, ".tmp.", 5) == 0)
            unlinkat(dirfd(d), f->d_name, 0);
    if (d) closedir(d);
}

void checkpoint_remove(const checkpoint *c)
{
    if (!c->path) return;
    clear_temporaries(c);
    unlink(c->path);
    unlink(c->rows);
    rmdir(c->folder);
}

void checkpoint_clear(sluice *s, const checkpoint *c)
{
    sealed f = { 0 };
    bool found = false;
    if (checkpoint_load(s, c, &f, &found) == SLUICE_OK && found) checkpoint_remove(c);
    sealed_release(&f);
    s->error[0] = 0;
}
