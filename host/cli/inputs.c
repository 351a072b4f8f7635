/* inputs.c - what several commands open the same way. */
#include "cli.h"

#include <sys/stat.h>

bool path_exists(const char *path)
{
    struct stat facts;
    return lstat(path, &facts) == 0;
}

sluice_status open_pool(cli *c, const cli_list *paths, const cli_input *in, sluice_pool **out_pool)
{
    sluice_pool_args a = { .size = sizeof a, .paths = paths->item, .path_count = paths->count, .ids = in->ids,
                           .tensor = in->tensor };
    return sluice_pool_open(c->s, &a, out_pool);
}

sluice_status open_outputs(cli *c, const char *path, sluice_pool **out_pool)
{
    sluice_pool_args a = { .size = sizeof a, .paths = &path, .path_count = 1 };
    return path ? sluice_pool_open(c->s, &a, out_pool) : SLUICE_OK;
}
