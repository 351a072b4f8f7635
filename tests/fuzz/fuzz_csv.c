/* fuzz_csv.c - a table that was read is written and read again: the cells are the same. */
#include "fuzz.h"

static void write_out(sluice *s, const csv *c, const char *path)
{
    outfile *f = NULL;
    MUST(outfile_open(s, path, true, &f) == SLUICE_OK);
    for (int64_t r = 0; r < c->rows; r++)
        for (int j = 0; j < c->cols[r]; j++) {
            if (c->cols[r] == 1 && !c->cell[r][j][0])
                MUST(outfile_write(s, f, "\"\"", 2) == SLUICE_OK); /* no empty line */
            MUST(csv_write_cell(s, f, c->cell[r][j]) == SLUICE_OK);
            MUST(outfile_write(s, f, j + 1 < c->cols[r] ? "," : "\n", 1) == SLUICE_OK);
        }
    MUST(outfile_commit(s, f) == SLUICE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    csv a = { 0 }, b = { 0 };
    line_list l = { 0 };
    const char *path = fuzz_file("f.csv", data, size);
    sluice_status st = lines_load(s, path, &l);
    if (st) must_explain(s, st);
    for (int64_t i = 0; i < l.count; i++)
        MUST(l.text[l.at[i]] && utf8_valid(l.text + l.at[i], strlen(l.text + l.at[i])));
    lines_release(&l);
    st = csv_load(s, path, &a);
    if (st) {
        must_explain(s, st);
        return 0;
    }
    const char *again = fuzz_file("again.csv", "", 0);
    write_out(s, &a, again);
    MUST(csv_load(s, again, &b) == SLUICE_OK);
    MUST(a.rows == b.rows && a.cols[0] == b.cols[0]);
    for (int64_t r = 0; r < a.rows; r++)
        for (int j = 0; j < a.cols[r]; j++) MUST(!strcmp(a.cell[r][j], b.cell[r][j]));
    csv_release(&a), csv_release(&b);
    return 0;
}
