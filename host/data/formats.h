/* formats.h - one file per format; each parser takes untrusted bytes and fills plain facts.
 * A new format: one file with its `open` function and one line in formats.def. */
#ifndef FORMATS_H
#define FORMATS_H

#include "core.h"
#include <jansson.h>

/* An array found in a file: what a shard needs. */
typedef struct array_facts {
    sluice_type type;
    bool is_label;              /* integers wider than 8 bits: labels or ids, not features */
    int label_bytes;            /* 1 2 4 8 when integer */
    bool label_signed;
    int ndim;
    int64_t shape[4];           /* shape[0] = rows */
    size_t offset, stride;      /* as in shard */
    uint8_t *memory;            /* decompressed data (owned by the caller), or NULL */
} array_facts;

/* name(s, path, tensor, out): header only (idx.gz also the data).  E_FORMAT, E_TYPE, E_SHAPE, E_MISSING, E_IO. */
typedef sluice_status format_open(sluice *s, const char *path, const char *tensor, array_facts *out);
format_open npy_open, safetensors_array_open, bigann_open, fvecs_open, idx_open;
/* By ending and magic; a .pt .parquet .h5 .npz is refused with the line of Python that converts it. */
format_open array_open;

/* Writers: the header, then the caller appends rows through outfile_write. */
sluice_status npy_write_header(sluice *s, outfile *f, const char *descr, int ndim, const int64_t *shape); /* descr "<f4" */
sluice_status bigann_write_header(sluice *s, outfile *f, int64_t rows, int64_t cols);

/* ---- safetensors with metadata ---- */
typedef struct st_tensor {
    char *name;
    char dtype[8];              /* "F32" "F16" "BF16" "I64" "U64" ... */
    int ndim;
    int64_t shape[8];
    size_t offset, bytes;       /* in the file, absolute */
    const void *data;           /* writer: what to write; reader: NULL */
} st_tensor;
typedef struct st_file {
    st_tensor *tensors;
    int count;
    json_t *metadata;           /* object of strings, or NULL */
} st_file;
sluice_status safetensors_open(sluice *s, const char *path, st_file *out);     /* checks overlaps, bounds, overflow */
const st_tensor *safetensors_find(const st_file *f, const char *name);
sluice_status safetensors_read(sluice *s, const char *path, const st_tensor *t, void *out); /* t->bytes into out */
sluice_status safetensors_write(sluice *s, const char *path, bool force, const st_tensor *tensors, int count, json_t *metadata);
void safetensors_release(st_file *f);

/* ---- csv: RFC 4180, UTF-8, LF or CRLF ---- */
typedef struct csv { char *text; int64_t bytes; char ***cell; int64_t rows; int *cols; } csv;  /* cell[r][c], header is row 0 */
sluice_status csv_load(sluice *s, const char *path, csv *out);
void csv_release(csv *c);
sluice_status csv_write_cell(sluice *s, outfile *f, const char *text);          /* quoted where needed */

#endif
