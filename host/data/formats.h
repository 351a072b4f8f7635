/* formats.h - one file per format; each parser takes untrusted bytes and fills plain facts.
 * A new format: one file with its `open` function and one line in formats.def.  Byte by byte: docs/formats.md. */
#ifndef FORMATS_H
#define FORMATS_H

#include "core.h"
#include <jansson.h>

/* ---- a file being parsed: regular, its size fixed when opened ---- */
typedef struct input {
    int fd; /* -1: closed */
    int64_t bytes, mtime_ns;
} input;
sluice_status input_open(sluice *s, const char *path, input *out); /* E_MISSING, E_IO */
sluice_status input_read(sluice *s, const input *f, int64_t offset, void *out,
                         size_t bytes); /* E_FORMAT: the file ends before */
void input_close(input *f);
uint32_t load_u32(const uint8_t *p); /* little endian, any alignment */
uint64_t load_u64(const uint8_t *p);

/* ---- arrays ---- */

/* An array found in a file: what a shard needs. */
typedef struct array_facts {
    sluice_type type; /* of features; without meaning when label_bytes > 1 */
    bool is_label;    /* integers, 1-d or wider than 8 bits: labels or ids, not features */
    int label_bytes;  /* 1 2 4 8 when integer, else 0 */
    bool label_signed;
    int ndim;              /* 1, 2 or 4 */
    int64_t shape[4];      /* shape[0] = rows */
    size_t offset, stride; /* as in shard */
    uint8_t *memory;       /* decompressed data (owned by the caller), or NULL */
} array_facts;

/* name(s, path, tensor, out): header only (idx.gz also the data).  E_FORMAT, E_TYPE, E_SHAPE, E_MISSING, E_IO. */
typedef sluice_status format_open(sluice *s, const char *path, const char *tensor, array_facts *out);
format_open npy_open, safetensors_array_open, bigann_open, fvecs_open, idx_open;
/* By ending and magic; a .pt .parquet .h5 .npz is refused with the line of Python that converts it. */
format_open array_open;

/* Bytes of path's ending when array_open() knows it (".npy": 4), else 0. */
size_t array_ending(const char *path);
/* Sets stride from shape and element size and checks that rows end where the file does; dims behind the first >= 1. */
sluice_status array_fit(sluice *s, array_facts *a, size_t element, int64_t file_bytes);
/* Reads a 1-d (or [n, 1]) array of integers.  *out_wide: they are uint64, so negative values stand for large ones. */
sluice_status ints_load(sluice *s, const char *path, int64_t **out, int64_t *out_count, bool *out_wide);

/* Writers: the header, then the caller appends rows through outfile_write. */
enum { NPY_HEADER_BYTES = 512 };
size_t npy_header(char text[NPY_HEADER_BYTES], const char *descr, int ndim, const int64_t *shape); /* its bytes */
sluice_status npy_write_header(sluice *s, outfile *f, const char *descr, int ndim,
                               const int64_t *shape); /* descr "<f4" */
sluice_status bigann_write_header(sluice *s, outfile *f, int64_t rows, int64_t cols);

/* ---- safetensors with metadata ---- */
typedef struct st_tensor {
    char *name;
    char dtype[8]; /* "F32" "F16" "BF16" "I64" "U64" ... */
    int ndim;
    int64_t shape[8];
    size_t offset, bytes; /* in the file, absolute */
    const void *data;     /* writer: what to write; reader: NULL */
} st_tensor;
typedef struct st_file {
    st_tensor *tensors; /* in file order */
    int count;
    json_t *metadata; /* object of strings, or NULL */
} st_file;
sluice_status safetensors_open(sluice *s, const char *path,
                               st_file *out); /* checks overlaps, holes, bounds, overflow */
const st_tensor *safetensors_find(const st_file *f, const char *name);
sluice_status safetensors_read(sluice *s, const char *path, const st_tensor *t, void *out); /* t->bytes into out */
/* The same arguments give the same bytes.  Wider types come first in the file, so every tensor is aligned. */
sluice_status safetensors_write(sluice *s, const char *path, bool force, const st_tensor *tensors, int count,
                                json_t *metadata);
void safetensors_release(st_file *f);

/* ---- csv: RFC 4180, UTF-8, LF or CRLF ---- */
typedef struct csv {
    char *text;
    int64_t bytes;
    char ***cell; /* cell[r][c], header is row 0 */
    int64_t rows;
    int *cols;     /* [rows], all equal: a ragged file is an error */
    int64_t *line; /* [rows] line of the file the row begins on, from 1 */
} csv;
sluice_status csv_load(sluice *s, const char *path, csv *out);
int csv_column(const csv *c, const char *name); /* -1: none */
void csv_release(csv *c);
sluice_status csv_write_cell(sluice *s, outfile *f, const char *text); /* quoted where needed */

/* ---- text ---- */
bool utf8_valid(const char *text, size_t bytes);
/* 0, or digits without a leading zero, at most 2^64 - 1: what makes an id or a label an integer. */
bool parse_canonical(const char *text, uint64_t *out);
/* One text a line, LF or CRLF, UTF-8.  Lines lie zero-terminated in text.  An empty line is E_FORMAT, the last line may
 * go without its newline. */
typedef struct line_list {
    char *text;
    int64_t *at;
    int64_t count, bytes;
} line_list;
sluice_status lines_load(sluice *s, const char *path, line_list *out);
void lines_release(line_list *l);

#endif
