/* unit_csv.c - RFC 4180, line lists, UTF-8 and canonical integers. */
#include "files.h"

static sluice *s;

static const char *save_bytes(const char *bytes, size_t n)
{
    const char *path = test_path("c.csv");
    write_file(path, bytes, n);
    return path;
}

/* Rows as "a|b;c|d", so that a case is one line. */
static void flat(const csv *c, char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    for (int64_t r = 0; r < c->rows; r++)
        for (int j = 0; j < c->cols[r] && n < size; j++)
            n += (size_t)snprintf(out + n, size - n, "%s%s", j ? "|" : r ? ";" : "", c->cell[r][j]);
}

static void good(void)
{
    static const struct {
        const char *text, *want;
    } all[] = {
        { "id,label\na,1\nb,2\n", "id|label;a|1;b|2" },
        { "id,label\r\na,1\r\nb,2\r\n", "id|label;a|1;b|2" },
        { "id,label\na,1\nb,2", "id|label;a|1;b|2" },
        { "id,label\r\na,1", "id|label;a|1" },
        { "\xef\xbb\xbfid,label\na,1\n", "id|label;a|1" },
        { "id\na\n\nb\n\r\n\n", "id;a;b" },
        { "id,label\n\"a,b\",\"say \"\"hi\"\"\"\n", "id|label;a,b|say \"hi\"" },
        { "id,label\n\"two\nlines\",\"\"\n", "id|label;two\nlines|" },
        { "id,label\r\n\"a\",\"b\"\r\n", "id|label;a|b" },
        { "id,label\n,\n", "id|label;|" },
        { "id,label\na,", "id|label;a|" },
        { "id,label\n\"\",\"\"", "id|label;|" },
        { "id,label\n a , b \n", "id|label; a | b " },
        { "id\na\rb\n", "id;a\rb" },
        { "\"\"\n", "" },
        { "id,label\n\xc3\xa9,\xf0\x9f\x90\x95\n", "id|label;\xc3\xa9|\xf0\x9f\x90\x95" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!case_is("good %zu", i)) continue;
        csv c = { 0 };
        char got[256];
        CHECK_OK(s, csv_load(s, save_text(all[i].text, "c.csv"), &c));
        flat(&c, got, sizeof got);
        CHECK(!strcmp(got, all[i].want), "'%s', want '%s'", got, all[i].want);
        csv_release(&c);
    }
}

static void bad(void)
{
    static const struct {
        const char *text;
        size_t n; /* 0: strlen */
        const char *part;
    } all[] = {
        { "", 0, "empty" },
        { "\n\n", 0, "empty" },
        { "id,label\na,1\nb\n", 0, "line 3 has 1 cells, the header has 2" },
        { "id,label\na,1,2\n", 0, "line 2 has 3" },
        { "id,label\n\"a,1\n", 0, "line 2: a quote is never closed" },
        { "id,label\n\"two\nlines\",1\nb\n", 0, "line 4 has 1" },
        { "id,label\na\"b,1\n", 0, "middle" },
        { "id,label\n\"a\"b,1\n", 0, "line 2: text follows" },
        { "id,label\n\"a\"\"", 0, "never closed" },
        { "id,label\na,1\nb\0,2\n", 17, "line 3 holds a zero byte" },
        { "id,label\na,\xff\n", 0, "line 2 is not UTF-8" },
        { "id,label\na,\xc0\xaf\n", 0, "line 2 is not UTF-8" },
        { "id,label\na,\xed\xa0\x80\n", 0, "line 2 is not UTF-8" },
        { "id,label\na,\xc3", 0, "line 2 is not UTF-8" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!case_is("bad %zu", i)) continue;
        csv c = { .rows = 99 };
        const char *path = save_bytes(all[i].text, all[i].n ? all[i].n : strlen(all[i].text));
        CHECK_FAILS(s, csv_load(s, path, &c), E_FORMAT, all[i].part);
        CHECK(strstr(sluice_error(s), "c.csv'"), "the file is not named: %s", sluice_error(s));
        CHECK(c.rows == 99, "out was written");
    }
    csv c;
    if (case_is("no file")) CHECK_FAILS(s, csv_load(s, test_path("none.csv"), &c), E_MISSING, "none.csv");
}

static void positions(void)
{
    if (!case_is("lines and columns")) return;
    csv c = { 0 };
    CHECK_OK(s, csv_load(s, save_text("id,label\n\"a\nb\",1\n\nc,2\n", "c.csv"), &c));
    CHECK(c.rows == 3 && c.line[0] == 1 && c.line[1] == 2 && c.line[2] == 5, "line %lld", (long long)c.line[2]);
    CHECK(csv_column(&c, "label") == 1 && csv_column(&c, "id") == 0 && csv_column(&c, "Label") == -1, "columns");
    csv_release(&c);
    csv_release(&c); /* twice is allowed */
}

static void many(void)
{
    if (!case_is("written and read back")) return;
    static const char *const texts[] = { "plain", "",         "a,b", "say \"hi\"", "two\nlines",
                                         "cr\r",  " spaces ", "\"",  "\xc3\xa9" };
    enum { TEXTS = sizeof texts / sizeof *texts, ROWS = 500 };
    outfile *f = NULL;
    csv c = { 0 };
    const char *path = test_path("w.csv");
    CHECK_OK(s, outfile_open(s, path, true, &f));
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < 3; j++) {
            CHECK_OK(s, csv_write_cell(s, f, texts[(r + j * j) % TEXTS]));
            CHECK_OK(s, outfile_write(s, f, j < 2 ? "," : "\n", 1));
        }
    CHECK_OK(s, outfile_commit(s, f));
    CHECK_OK(s, csv_load(s, path, &c));
    CHECK(c.rows == ROWS, "%lld rows", (long long)c.rows);
    for (int r = 0; r < c.rows; r++)
        for (int j = 0; j < 3; j++)
            CHECK(!strcmp(c.cell[r][j], texts[(r + j * j) % TEXTS]), "row %d: '%s'", r, c.cell[r][j]);
    csv_release(&c);
}

static void lines(void)
{
    line_list l = { 0 };
    if (case_is("lines")) {
        CHECK_OK(s, lines_load(s, save_text("one\ntwo\r\n thr,ee \n", "l.txt"), &l));
        CHECK(l.count == 3 && !strcmp(l.text + l.at[0], "one") && !strcmp(l.text + l.at[1], "two") &&
                  !strcmp(l.text + l.at[2], " thr,ee "),
              "%lld lines", (long long)l.count);
        lines_release(&l);
        CHECK_OK(s, lines_load(s, save_text("one\ntwo", "l.txt"), &l));
        CHECK(l.count == 2 && !strcmp(l.text + l.at[1], "two"), "%lld lines", (long long)l.count);
        lines_release(&l);
        CHECK_OK(s, lines_load(s, save_text("", "l.txt"), &l));
        CHECK(l.count == 0, "%lld lines", (long long)l.count);
        lines_release(&l);
        CHECK_FAILS(s, lines_load(s, save_text("one\n\ntwo\n", "l.txt"), &l), E_FORMAT, "line 2 is empty");
        CHECK_FAILS(s, lines_load(s, save_text("one\n\r\n", "l.txt"), &l), E_FORMAT, "line 2 is empty");
        CHECK_FAILS(s, lines_load(s, save_text("one\n\xfe\n", "l.txt"), &l), E_FORMAT, "line 2 is not UTF-8");
        CHECK_FAILS(s, lines_load(s, save_bytes("a\n\0b\n", 5), &l), E_FORMAT, "line 2 holds a zero byte");
    }
}

static void canonical(void)
{
    uint64_t v = 0;
    if (!case_is("canonical integers")) return;
    CHECK(parse_canonical("0", &v) && v == 0, "0");
    CHECK(parse_canonical("10", &v) && v == 10, "10");
    CHECK(parse_canonical("18446744073709551615", &v) && v == UINT64_MAX, "the largest");
    static const char *const no_ints[] = {
        "", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "99999999999999999999", "a"
    };
    for (size_t i = 0; i < sizeof no_ints / sizeof *no_ints; i++)
        CHECK(!parse_canonical(no_ints[i], &v), "'%s'", no_ints[i]);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    good();
    bad();
    positions();
    many();
    lines();
    canonical();
    sluice_close(s);
    return test_end();
}
