/* tool_make.c - makes the small data sets of the command-line tests: rows that depend on their number alone, so that
 * any cut into shards, type or format holds the same values.  None of it uses the library.
 *
 *     tool_make npy|safetensors|fbin|fvecs|idx OUT [rows=N first=N width=D shape=HxWxC type=T classes=C noise=X
 *                                                  nan=R,R... seed=N]
 *     tool_make labels|ids|groups OUT [rows=N first=N every=N classes=C form=int|text|npy|idx names=1]
 *
 * Row i belongs to class hash(i) % C.  Features are a class centre plus noise; images are stripes whose direction is
 * the class.  Values are multiples of 1/64 below 16, which f32 and f16 hold exactly. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    long rows, first, every, classes, width, h, w, c, names;
    double noise;
    const char *type, *form, *nan;
    uint64_t seed;
} o = { .rows = 100, .every = 1, .classes = 3, .width = 8, .noise = 1, .type = "f32", .form = "text" };

static void die(const char *why, const char *what)
{
    fprintf(stderr, "tool_make: %s '%s'\n", why, what);
    exit(1);
}

static void write_all(FILE *f, const void *p, size_t bytes)
{
    if (fwrite(p, 1, bytes, f) != bytes) die("cannot write", "output");
}

/* ---- values ---- */

static uint64_t hash(uint64_t a, uint64_t b)
{
    uint64_t z = (o.seed + 1) * 0x9e3779b97f4a7c15u ^ (a + 1) * 0xbf58476d1ce4e5b9u ^ (b + 1) * 0x94d049bb133111ebu;
    for (int i = 0; i < 3; i++) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z ^= z >> 27;
    }
    return z;
}

static double uniform(uint64_t a, uint64_t b) { return (double)(hash(a, b) >> 11) * 0x1p-53; }
static long class_of(long row) { return (long)(hash((uint64_t)row, 1u << 30) % (uint64_t)o.classes); }

static double noise_at(long row, long j)
{
    double sum = 0;
    for (uint64_t i = 0; i < 4; i++) sum += uniform((uint64_t)row, (uint64_t)j * 4 + i);
    return (sum - 2) * 1.7 * o.noise;
}

static double signal_at(long class, long j)
{
    if (!o.h) return 3 * uniform((uint64_t) class + (1u << 29), (uint64_t)j) - 1.5;
    long x = j / o.c % o.w, y = j / o.c / o.w;
    return ((class & 1 ? x : 0) + (class & 2 ? y : 0)) % 2 ? 2 : -2 + (class > 3);
}

static int is_nan_row(long row)
{
    for (const char *p = o.nan; p && *p; p += strcspn(p, ","), p += *p == ',')
        if (strtol(p, NULL, 10) == row) return 1;
    return 0;
}

static double value_at(long row, long j)
{
    if (is_nan_row(row) && j == o.width / 2) return NAN;
    double v = rint((signal_at(class_of(row), j) + noise_at(row, j)) * 64) / 64 + 0.0; /* no -0 */
    return v > 15 ? 15 : v < -15 ? -15 : v;
}

/* ---- elements ---- */

static uint32_t bits_of(float v)
{
    uint32_t u;
    memcpy(&u, &v, 4);
    return u;
}

/* Exact: every value of this program is a half. */
static uint16_t half_of(double v)
{
    if (v != v) return 0x7e00;
    if (v == 0) return 0;
    int e;
    double m = frexp(fabs(v), &e);
    return (uint16_t)((v < 0 ? 0x8000 : 0) | (e + 14) << 10 | ((int)(m * 2048) - 1024));
}

static size_t put(uint8_t *p, double v)
{
    float f = (float)v;
    uint16_t h = strcmp(o.type, "bf16") == 0 ? (uint16_t)(bits_of(f) >> 16) : half_of(v);
    if (strcmp(o.type, "f32") == 0) return memcpy(p, &f, 4), 4;
    if (strcmp(o.type, "f64") == 0) return memcpy(p, &v, 8), 8;
    if (strcmp(o.type, "f16") == 0 || strcmp(o.type, "bf16") == 0) return memcpy(p, &h, 2), 2;
    if (strcmp(o.type, "i8") == 0) return *p = (uint8_t)(int8_t)rint(v * 8), 1;
    if (strcmp(o.type, "u8") == 0) return *p = (uint8_t)(rint(v * 8) + 128), 1;
    return die("unknown type", o.type), 0;
}

static void put_rows(FILE *f, int fvecs)
{
    uint8_t *row = malloc((size_t)o.width * 8 + 4);
    if (!row) die("no memory for", "a row");
    for (long i = o.first; i < o.first + o.rows; i++) {
        size_t at = 0;
        int32_t d = (int32_t)o.width;
        if (fvecs) memcpy(row, &d, 4), at = 4;
        for (long j = 0; j < o.width; j++) at += put(row + at, value_at(i, j));
        write_all(f, row, at);
    }
    free(row);
}

static size_t element(void)
{
    uint8_t p[8];
    return put(p, 0);
}

/* ---- formats ---- */

static void npy_header(FILE *f, const char *descr, const char *shape)
{
    char text[128];
    uint8_t magic[10] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0 };
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    write_all(f, magic, 10);
    fprintf(f, "%-117s\n", text);
}

static void make_npy(FILE *f)
{
    static const char *const descr[][2] = {
        { "f32", "<f4" }, { "f16", "<f2" }, { "f64", "<f8" }, { "i8", "|i1" }, { "u8", "|u1" }
    };
    char shape[96];
    if (o.h) snprintf(shape, sizeof shape, "%ld, %ld, %ld, %ld", o.rows, o.h, o.w, o.c);
    else snprintf(shape, sizeof shape, "%ld, %ld", o.rows, o.width);
    size_t k = 0;
    while (k < 5 && strcmp(descr[k][0], o.type) != 0) k++;
    if (k == 5) die("npy has no type", o.type);
    npy_header(f, descr[k][1], shape);
    put_rows(f, 0);
}

static void make_safetensors(FILE *f)
{
    static const char *const dtype[][2] = { { "f32", "F32" }, { "f16", "F16" }, { "bf16", "BF16" } };
    char text[256];
    size_t k = 0;
    while (k < 3 && strcmp(dtype[k][0], o.type) != 0) k++;
    if (k == 3) die("no safetensors of type", o.type);
    snprintf(text, sizeof text, "{\"features\":{\"dtype\":\"%s\",\"shape\":[%ld,%ld],\"data_offsets\":[0,%zu]}}",
             dtype[k][1], o.rows, o.width, (size_t)o.rows * (size_t)o.width * element());
    uint64_t bytes = (strlen(text) + 7) / 8 * 8;
    write_all(f, &bytes, 8);
    fprintf(f, "%-*s", (int)bytes, text);
    put_rows(f, 0);
}

static void make_fbin(FILE *f)
{
    uint32_t shape[2] = { (uint32_t)o.rows, (uint32_t)o.width };
    write_all(f, shape, 8);
    put_rows(f, 0);
}

static void put_big(FILE *f, long v)
{
    uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    write_all(f, b, 4);
}

static void make_idx(FILE *f)
{
    put_big(f, 0x0803);
    put_big(f, o.rows), put_big(f, o.h), put_big(f, o.w);
    o.type = "u8";
    put_rows(f, 0);
}

static void put_id(FILE *f, long row)
{
    if (o.names) fprintf(f, "img/%05ld.jpg", row);
    else fprintf(f, "%ld", row);
}

static void make_labels(FILE *f)
{
    char shape[32];
    if (strcmp(o.form, "npy") == 0) {
        snprintf(shape, sizeof shape, "%ld,", o.rows);
        npy_header(f, "<i4", shape);
    } else if (strcmp(o.form, "idx") == 0) {
        put_big(f, 0x0801);
        put_big(f, o.rows);
    } else {
        fputs("id,label\n", f);
    }
    for (long i = o.first; i < o.first + o.rows; i++) {
        int32_t label = i % o.every == 0 ? (int32_t)class_of(i) : -1;
        if (strcmp(o.form, "npy") == 0) {
            write_all(f, &label, 4);
        } else if (strcmp(o.form, "idx") == 0) {
            fputc(label, f);
        } else if (label >= 0) {
            put_id(f, i);
            fprintf(f, strcmp(o.form, "int") == 0 ? ",%d\n" : ",kind %d\n", label);
        }
    }
}

static void make_ids(FILE *f)
{
    for (long i = o.first; i < o.first + o.rows; i++) {
        if (i % o.every) continue;
        put_id(f, i);
        fputc('\n', f);
    }
}

static void make_groups(FILE *f)
{
    fputs("id,group\n", f);
    for (long i = o.first; i < o.first + o.rows; i++) {
        put_id(f, i);
        fprintf(f, ",video %ld\n", i / o.every);
    }
}

/* ---- command line ---- */

static void set(const char *arg)
{
    static const struct {
        const char *key;
        long *value;
    } numbers[] = {
        { "rows", &o.rows },       { "first", &o.first }, { "every", &o.every },
        { "classes", &o.classes }, { "width", &o.width }, { "names", &o.names },
    };
    const char *value = strchr(arg, '=');
    if (!value) die("no value in", arg);
    size_t len = (size_t)(value++ - arg);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strlen(numbers[i].key) == len && strncmp(arg, numbers[i].key, len) == 0) {
            *numbers[i].value = strtol(value, NULL, 10);
            return;
        }
    if (strncmp(arg, "type=", 5) == 0) o.type = value;
    else if (strncmp(arg, "form=", 5) == 0) o.form = value;
    else if (strncmp(arg, "nan=", 4) == 0) o.nan = value;
    else if (strncmp(arg, "noise=", 6) == 0) o.noise = strtod(value, NULL);
    else if (strncmp(arg, "seed=", 5) == 0) o.seed = strtoull(value, NULL, 10);
    else if (sscanf(arg, "shape=%ldx%ldx%ld", &o.h, &o.w, &o.c) == 3) o.width = o.h * o.w * o.c;
    else die("unknown key", arg);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*make)(FILE *);
    } kinds[] = {
        { "npy", make_npy },       { "safetensors", make_safetensors }, { "fbin", make_fbin },
        { "idx", make_idx },       { "labels", make_labels },           { "ids", make_ids },
        { "groups", make_groups },
    };
    if (argc < 3) die("usage: tool_make KIND OUT [key=value...], not", argc > 1 ? argv[1] : "");
    for (int i = 3; i < argc; i++) set(argv[i]);
    FILE *f = fopen(argv[2], "wb");
    if (!f) die("cannot open", argv[2]);
    int done = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, argv[1]) == 0) kinds[i].make(f), done = 1;
    if (!done && strcmp(argv[1], "fvecs") == 0) put_rows(f, 1), done = 1;
    if (!done) die("unknown kind", argv[1]);
    if (fclose(f)) die("cannot write", argv[2]);
    return 0;
}
