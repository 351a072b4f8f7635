/* fuzz_idx.c - even first byte: the rest is the file; odd: the rest is compressed first, so that mutations get behind
 * gzip's checksum. */
#include "fuzz.h"
#include <zlib.h>

static size_t gzip(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    z_stream z = {
        .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room
    };
    MUST(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    MUST(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packed[1 << 18];
    sluice *s = fuzz_context();
    array_facts a = { 0 };
    if (!size || size > 1 << 17) return 0;
    const uint8_t *file = data + 1;
    size_t bytes = size - 1;
    if (data[0] & 1) {
        bytes = gzip(file, bytes, packed, sizeof packed);
        file = packed;
    }
    sluice_status st = idx_open(s, fuzz_file("f-ubyte", file, bytes), NULL, &a);
    if (st) must_explain(s, st);
    else must_fit(&a, bytes);
    mem_free(a.memory);
    return 0;
}
