/* identity.c - see identity.h.
 *
 *     0    "sluice.s"
 *     8    version of this layout, 1, of 32 bits; 32 bits of 0
 *     16   bytes of the identity, bytes of the body
 *     32   the identity, JSON; zeros up to a multiple of 8
 *          the body
 *          XXH3-64 of all before */
#include "identity.h"
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 32, LAYOUT = 1, SHOWN = 60 };
static const char magic[8] = { 's', 'l', 'u', 'i', 'c', 'e', '.', 's' };

static size_t padded(size_t bytes) { return (bytes + 7) & ~(size_t)7; }

/* ---- what differs ---- */

typedef struct difference {
    char path[128];
    const json_t *there, *here;
} difference;

static bool differ(const json_t *there, const json_t *here, difference *d);

static bool differ_at(const json_t *there, const json_t *here, const char *name, difference *d)
{
    size_t used = strlen(d->path);
    snprintf(d->path + used, sizeof d->path - used, "%s%s", used ? " " : "", name);
    if (differ(there, here, d)) return true;
    d->path[used] = 0;
    return false;
}

static bool arrays_differ(const json_t *there, const json_t *here, difference *d)
{
    size_t n = json_array_size(here), m = json_array_size(there);
    for (size_t i = 0; i < (n > m ? n : m); i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", i);
        if (differ_at(json_array_get(there, i), json_array_get(here, i), name, d)) return true;
    }
    return false;
}

static bool objects_differ(const json_t *there, const json_t *here, difference *d)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)here, key, value)
    {
        if (differ_at(json_object_get(there, key), value, key, d)) return true;
    }
    if (!*d->path) return false; /* what only they have, at the top, does not matter */
    json_object_foreach((json_t *)(uintptr_t)there, key, value)
    {
        if (!json_object_get(here, key) && differ_at(value, NULL, key, d)) return true;
    }
    return false;
}

static bool differ(const json_t *there, const json_t *here, difference *d)
{
    if (json_is_object(there) && json_is_object(here)) return objects_differ(there, here, d);
    if (json_is_array(there) && json_is_array(here)) return arrays_differ(there, here, d);
    if (there && here && json_equal(there, here)) return false;
    d->there = there, d->here = here;
    return true;
}

static void show(const json_t *v, char out[SHOWN])
{
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int n = snprintf(out, SHOWN, "%s", text ? text : "none");
    if (n >= SHOWN) memcpy(out + SHOWN - 4, "...", 4);
    free(text);
}

sluice_status identity_check(sluice *s, const char *path, const json_t *theirs, const json_t *mine)
{
    difference d = { .path = "" };
    char there[SHOWN], here[SHOWN];
    if (!mine) return sluice_fail(s, SLUICE_E_MEMORY, "out of memory for what '%s' belongs to", path);
    if (!json_is_object(theirs)) return sluice_fail(s, SLUICE_E_FORMAT, "'%s' does not say what it belongs to", path);
    if (!differ(theirs, mine, &d)) return SLUICE_OK;
    const char *name = strncmp(d.path, "inputs ", 7) == 0 ? d.path + 7 : d.path;
    show(d.there, there), show(d.here, here);
    return sluice_fail(s, SLUICE_E_DATA, "'%s' belongs to another run: its %s is %s, here it is %s", path, name, there,
                       here);
}

/* ---- the file ---- */

sluice_status sealed_write(sluice *s, const char *path, const json_t *identity, const void *body, size_t bytes)
{
    sluice_status st = SLUICE_OK;
    packer p = { 0 };
    char *text = identity ? json_dumps(identity, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (!text) FAIL(E_MEMORY, "out of memory for '%s'", path);
    size_t length = strlen(text), head = HEADER_BYTES + padded(length);
    TRY_NEW(p.data, NEW(s, (int64_t)(head + bytes + 8), uint8_t));
    memcpy(p.data, magic, sizeof magic);
    p.used = sizeof magic;
    put_u32(&p, LAYOUT), put_u32(&p, 0);
    put_i64(&p, (int64_t)length), put_i64(&p, (int64_t)bytes);
    memcpy(p.data + HEADER_BYTES, text, length);
    if (bytes) memcpy(p.data + head, body, bytes);
    p.used = head + bytes;
    put_i64(&p, (int64_t)hash_bytes(p.data, p.used, 0));
    TRY(file_write(s, path, p.data, p.used));
out:
    mem_free(p.data);
    free(text);
    return st;
}

/* Where the body starts; 0: the sizes are not those of the file. */
static size_t body_start(unpacker *u)
{
    uint64_t length = (uint64_t)take_i64(u), bytes = (uint64_t)take_i64(u);
    if (u->broken || length > u->size || bytes > u->size) return 0;
    return HEADER_BYTES + padded(length) + bytes + 8 == u->size ? HEADER_BYTES + padded(length) : 0;
}

static sluice_status read_whole(sluice *s, const char *path, const char *text, size_t size, sealed *out)
{
    unpacker u = { .data = (const uint8_t *)text, .size = size, .used = sizeof magic };
    if (size < sizeof magic || memcmp(text, magic, sizeof magic) != 0)
        return sluice_fail(s, SLUICE_E_FORMAT, "'%s' is not a partial result or checkpoint of sluice", path);
    uint32_t layout = take_u32(&u);
    if (!u.broken && layout != LAYOUT)
        return sluice_fail(s, SLUICE_E_FORMAT, "'%s' has layout %u, this version reads %d", path, layout, LAYOUT);
    take_u32(&u);
    size_t start = body_start(&u);
    if (!start) return sluice_fail(s, SLUICE_E_FORMAT, "'%s' is cut short", path);
    unpacker end = { .data = u.data, .size = size, .used = size - 8 };
    if ((uint64_t)take_i64(&end) != hash_bytes(text, size - 8, 0))
        return sluice_fail(s, SLUICE_E_FORMAT, "'%s' was changed after it was written: its checksum does not match",
                           path);
    u.used = 16;
    out->identity = json_loadb(text + HEADER_BYTES, (size_t)take_i64(&u), 0, NULL);
    if (!out->identity) return sluice_fail(s, SLUICE_E_FORMAT, "'%s' does not say what it belongs to", path);
    out->body = u.data + start, out->bytes = size - 8 - start;
    return SLUICE_OK;
}

sluice_status sealed_read(sluice *s, const char *path, sealed *out)
{
    sealed f = { 0 };
    int64_t size;
    sluice_status st = file_read(s, path, INT64_MAX, &f.file, &size);
    if (!st) st = read_whole(s, path, f.file, (size_t)size, &f);
    if (st) sealed_release(&f);
    else *out = f;
    return st;
}

void sealed_release(sealed *f)
{
    json_decref(f->identity);
    mem_free(f->file);
    *f = (sealed){ 0 };
}
