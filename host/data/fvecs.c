/* fvecs.c - .fvecs and .bvecs: every row is an int32 width and then width floats or bytes. */
#include "formats.h"

sluice_status fvecs_open(sluice *s, const char *path, const char *tensor, array_facts *out)
{
    sluice_status st = SLUICE_OK;
    input f = { .fd = -1 };
    uint8_t prefix[4];
    bool bytes = path_ends(path, ".bvecs");
    (void)tensor;
    TRY(input_open(s, path, &f));
    if (f.bytes < 4) FAIL(E_FORMAT, "%lld bytes are too few for one row", (long long)f.bytes);
    TRY(input_read(s, &f, 0, prefix, 4));
    int64_t width = (int32_t)load_u32(prefix), stride = 4 + width * (bytes ? 1 : 4);
    if (width < 1) FAIL(E_FORMAT, "the first row says its width is %lld", (long long)width);
    if (f.bytes % stride)
        FAIL(E_FORMAT,
             "the first row says %lld elements (%lld bytes a row), the file's %lld bytes are no multiple of that",
             (long long)width, (long long)stride, (long long)f.bytes);
    TRY(input_read(s, &f, f.bytes - stride, prefix, 4));
    if ((int32_t)load_u32(prefix) != width)
        FAIL(E_FORMAT, "the first row says %lld elements, the last %d", (long long)width, (int32_t)load_u32(prefix));
    *out = (array_facts){ .type = bytes ? SLUICE_U8 : SLUICE_F32,
                          .label_bytes = bytes ? 1 : 0,
                          .ndim = 2,
                          .shape = { f.bytes / stride, width },
                          .offset = 4,
                          .stride = (size_t)stride };
out:
    input_close(&f);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}
