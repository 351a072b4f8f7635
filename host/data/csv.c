/* csv.c - RFC 4180 in place: the file is read whole, quotes are undone where they stand, cells point into the text. */
#include "formats.h"

#include <string.h>

#define TEXT_LIMIT ((int64_t)1 << 36) /* 64 GiB: what a pool of a billion ids needs */

/* Bytes that follow a first byte, -1: it is none. */
static int follow(uint8_t first)
{
    if (first < 0x80) return 0;
    if (first < 0xc2) return -1; /* a following byte, or an overlong form */
    if (first < 0xf0) return first < 0xe0 ? 1 : 2;
    return first < 0xf5 ? 3 : -1;
}

bool utf8_valid(const char *text, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + bytes;
    while (p < end) {
        int more = follow(*p);
        if (more < 0 || end - p <= more) return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || /* overlong, surrogates */
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80) return false;
    }
    return true;
}

bool parse_canonical(const char *text, uint64_t *out)
{
    uint64_t v = 0;
    if (text[0] == '0' && text[1]) return false;
    for (const char *p = text; *p; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    *out = v;
    return *text != 0;
}

/* Whole text of a file: UTF-8 without zero bytes; *out_at skips a byte-order mark. */
static sluice_status text_load(sluice *s, const char *path, char **out, int64_t *out_bytes, int64_t *out_at)
{
    sluice_status st = SLUICE_OK;
    char *text = NULL;
    int64_t bytes = 0, line = 1;
    if ((st = file_read(s, path, TEXT_LIMIT, &text, &bytes)) != SLUICE_OK) return st; /* has named the file */
    const char *zero = memchr(text, 0, (size_t)bytes);
    for (const char *p = text, *end = text + bytes; p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        if (zero && zero < stop) FAIL(E_FORMAT, "line %lld holds a zero byte", (long long)line);
        if (!utf8_valid(p, (size_t)(stop - p))) FAIL(E_FORMAT, "line %lld is not UTF-8", (long long)line);
        p = stop + 1;
    }
    *out_at = bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    *out = text, text = NULL;
    *out_bytes = bytes;
out:
    mem_free(text);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

/* ---- lines ---- */

static int64_t lines_count(const char *p, const char *end)
{
    int64_t n = 0;
    for (; p < end; n++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        p = stop ? stop + 1 : end;
    }
    return n;
}

sluice_status lines_load(sluice *s, const char *path, line_list *out)
{
    sluice_status st = SLUICE_OK;
    line_list l = { 0 };
    int64_t at = 0;
    if ((st = text_load(s, path, &l.text, &l.bytes, &at)) != SLUICE_OK) return st;
    TRY_NEW(l.at, RAW(s, lines_count(l.text + at, l.text + l.bytes), int64_t));
    while (at < l.bytes) {
        char *stop = memchr(l.text + at, '\n', (size_t)(l.bytes - at));
        int64_t end = stop ? stop - l.text : l.bytes, next = end + 1;
        if (end > at && l.text[end - 1] == '\r') end--;
        if (end == at) FAIL(E_FORMAT, "line %lld is empty", (long long)l.count + 1);
        l.text[end] = 0; /* the text has a zero behind its last byte */
        l.at[l.count++] = at;
        at = next;
    }
    *out = l, l = (line_list){ 0 };
out:
    lines_release(&l);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

void lines_release(line_list *l)
{
    mem_free(l->text), mem_free(l->at);
    *l = (line_list){ 0 };
}

/* ---- csv ---- */

typedef struct scan {
    char *p, *end;
    int64_t line; /* of p */
    char ended;   /* what ended the last cell: ',' '\n' or 0 at the end of the text */
} scan;

/* A cell in quotes, undone in place; p is behind the opening quote. */
static const char *quoted_cell(scan *z, char **out)
{
    char *to = z->p;
    *out = to;
    for (;;) {
        if (z->p == z->end) return "a quote is never closed";
        if (*z->p == '"' && z->p + 1 < z->end && z->p[1] == '"') z->p++;
        else if (*z->p == '"') break;
        z->line += *z->p == '\n';
        *to++ = *z->p++;
    }
    z->p++;
    if (z->p < z->end && *z->p == '\r') z->p++;
    z->ended = z->p == z->end ? 0 : *z->p++;
    if (z->ended && z->ended != ',' && z->ended != '\n') return "text follows a closing quote";
    *to = 0;
    return NULL;
}

static const char *plain_cell(scan *z, char **out)
{
    *out = z->p;
    while (z->p < z->end && *z->p != ',' && *z->p != '\n') {
        if (*z->p == '"') return "a quote stands in the middle of a cell";
        z->p++;
    }
    char *stop = z->p;
    z->ended = z->p == z->end ? 0 : *z->p++;
    if (z->ended != ',' && stop > *out && stop[-1] == '\r') stop--;
    *stop = 0;
    return NULL;
}

static const char *next_cell(scan *z, char **out)
{
    if (z->p < z->end && *z->p == '"') {
        z->p++;
        return quoted_cell(z, out);
    }
    return plain_cell(z, out);
}

/* What the parser grows: all cells in one row after another, and the line each row begins on. */
typedef struct table {
    char **cell;
    int64_t *line;
    int64_t cells, cell_room, rows, row_room;
    int cols;
} table;

static sluice_status push_cell(sluice *s, table *t, char *cell)
{
    if (t->cells == t->cell_room) {
        t->cell_room = t->cell_room ? 2 * t->cell_room : 64;
        char **more = mem_grow(s, t->cell, t->cell_room, sizeof *more);
        if (!more) return SLUICE_E_MEMORY;
        t->cell = more;
    }
    t->cell[t->cells++] = cell;
    return SLUICE_OK;
}

static sluice_status push_row(sluice *s, table *t, int64_t line)
{
    if (t->rows == t->row_room) {
        t->row_room = t->row_room ? 2 * t->row_room : 64;
        int64_t *more = mem_grow(s, t->line, t->row_room, sizeof *more);
        if (!more) return SLUICE_E_MEMORY;
        t->line = more;
    }
    t->line[t->rows++] = line;
    return SLUICE_OK;
}

/* One row; an empty line is none. */
static sluice_status read_row(sluice *s, scan *z, table *t)
{
    sluice_status st = SLUICE_OK;
    int64_t line = z->line, cols = 0;
    char *cell;
    if (*z->p == '\n' || (*z->p == '\r' && z->p + 1 < z->end && z->p[1] == '\n')) {
        z->p += *z->p == '\r' ? 2 : 1;
        z->line++;
        return SLUICE_OK;
    }
    do {
        const char *why = next_cell(z, &cell);
        if (why) FAIL(E_FORMAT, "line %lld: %s", (long long)line, why);
        TRY(push_cell(s, t, cell));
        cols++;
    } while (z->ended == ',');
    z->line += z->ended == '\n';
    TRY(push_row(s, t, line));
    if (t->rows == 1) t->cols = (int)(cols < INT32_MAX ? cols : INT32_MAX);
    if (cols != t->cols)
        FAIL(E_FORMAT, "line %lld has %lld cells, the header has %d", (long long)line, (long long)cols, t->cols);
out:
    return st;
}

sluice_status csv_load(sluice *s, const char *path, csv *out)
{
    sluice_status st = SLUICE_OK;
    csv c = { 0 };
    table t = { 0 };
    int64_t at = 0;
    if ((st = text_load(s, path, &c.text, &c.bytes, &at)) != SLUICE_OK) return st;
    scan z = { .p = c.text + at, .end = c.text + c.bytes, .line = 1 };
    while (z.p < z.end) TRY(read_row(s, &z, &t));
    if (!t.rows) FAIL(E_FORMAT, "it is empty, a header line is needed");
    TRY_NEW(c.cell, RAW(s, t.rows, char **));
    TRY_NEW(c.cols, RAW(s, t.rows, int));
    for (int64_t r = 0; r < t.rows; r++) c.cell[r] = t.cell + r * t.cols, c.cols[r] = t.cols;
    c.rows = t.rows, c.line = t.line, t = (table){ 0 }; /* the cells belong to cell[0] now */
    *out = c, c = (csv){ 0 };
out:
    mem_free(t.cell), mem_free(t.line);
    csv_release(&c);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

int csv_column(const csv *c, const char *name)
{
    for (int j = 0; j < c->cols[0]; j++)
        if (!strcmp(c->cell[0][j], name)) return j;
    return -1;
}

void csv_release(csv *c)
{
    if (c->line) mem_free(c->cell[0]); /* line is set last, when cell[0] owns the cells */
    mem_free(c->cell), mem_free(c->cols), mem_free(c->line), mem_free(c->text);
    *c = (csv){ 0 };
}

sluice_status csv_write_cell(sluice *s, outfile *f, const char *text)
{
    sluice_status st = SLUICE_OK;
    bool mark = !strncmp(text, "\xef\xbb\xbf", 3); /* at the head of a file it would be taken for a byte-order mark */
    if (!mark && !text[strcspn(text, ",\"\r\n")]) return outfile_write(s, f, text, strlen(text));
    TRY(outfile_write(s, f, "\"", 1));
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\"");
        TRY(outfile_write(s, f, p, n));
        p += n;
        if (!*p) break;
        TRY(outfile_write(s, f, "\"\"", 2));
        p++;
    }
    TRY(outfile_write(s, f, "\"", 1));
out:
    return st;
}
