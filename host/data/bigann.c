/* bigann.c - the .fbin family of the big-ann benchmarks: uint32 rows, uint32 width, then the rows. */
#include "formats.h"

#include <string.h>

static const struct {
    const char *ending;
    sluice_type type;
    size_t bytes;
} kinds[] = {
    { ".fbin", SLUICE_F32, 4 },
    { ".f16bin", SLUICE_F16, 2 },
    { ".u8bin", SLUICE_U8, 1 },
    { ".i8bin", SLUICE_I8, 1 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

sluice_status bigann_open(sluice *s, const char *path, const char *tensor, array_facts *out)
{
    sluice_status st = SLUICE_OK;
    input f = { .fd = -1 };
    uint8_t head[8];
    int k = 0;
    (void)tensor;
    while (k < KINDS && !path_ends(path, kinds[k].ending)) k++;
    if (k == KINDS) FAIL(E_FORMAT, "the ending is none of .fbin .f16bin .u8bin .i8bin, which names the element type");
    TRY(input_open(s, path, &f));
    if (f.bytes < 8) FAIL(E_FORMAT, "%lld bytes are too few for the header of 8", (long long)f.bytes);
    TRY(input_read(s, &f, 0, head, 8));
    array_facts a = {
        .type = kinds[k].type, .ndim = 2, .offset = 8, .shape = { (int64_t)load_u32(head), (int64_t)load_u32(head + 4) }
    };
    if (a.type == SLUICE_I8 || a.type == SLUICE_U8) a.label_bytes = 1, a.label_signed = a.type == SLUICE_I8;
    TRY(array_fit(s, &a, kinds[k].bytes, f.bytes));
    *out = a;
out:
    input_close(&f);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

sluice_status bigann_write_header(sluice *s, outfile *f, int64_t rows, int64_t cols)
{
    uint8_t head[8];
    if (rows < 0 || rows > UINT32_MAX || cols < 1 || cols > UINT32_MAX)
        return sluice_fail(s, SLUICE_E_SHAPE,
                           "%lld x %lld does not fit the 32-bit counts of a .fbin header: write .npy or several shards",
                           (long long)rows, (long long)cols);
    for (int i = 0; i < 4; i++) head[i] = (uint8_t)(rows >> 8 * i), head[4 + i] = (uint8_t)(cols >> 8 * i);
    return outfile_write(s, f, head, 8);
}
