/* unit_device.c - memory where ops compute: what goes in comes out, arrays and rooms stay with their exec. */
#include "backends.h"
#include "device.h"
#include "harness.h"

static void copies(sluice *s)
{
    enum { N = 100003 };
    static char from[N], back[N];
    for (int i = 0; i < N; i++) from[i] = (char)(i * 7 + 1);
    char *a = dev_new(s, N, 1), *b = dev_new(s, N, 1);
    CHECK(a && b && (uintptr_t)a % 64 == 0, "%p", (void *)a);
    CHECK_OK(s, dev_copy(s, a, from, N));
    CHECK_OK(s, dev_copy(s, b, a, N));
    CHECK_OK(s, dev_copy(s, back, b, N));
    CHECK_SAME(back, from, N, "there, across and back");
    CHECK_OK(s, dev_clear(s, b, N - 2));
    CHECK_OK(s, dev_copy(s, back, b, N));
    for (int i = 0; i < N; i++) CHECK(back[i] == (i < N - 2 ? 0 : from[i]), "byte %d of the cleared ones", i);
    CHECK_OK(s, dev_copy(s, NULL, NULL, 0));
    dev_free(s, a), dev_free(s, b), dev_free(s, NULL);
    CHECK(!dev_new(s, INT64_MAX, 16) && strstr(sluice_error(s), "memory"), "%s", sluice_error(s));
}

static void seats(sluice *s)
{
    float array[5] = { 1, 2, 3, 4, 5 }, back[5] = { 0 };
    float *seat = dev_seat_filled(s, array, 5, sizeof *array);
    CHECK((seat == array) == !on_device(s), "a CPU's is the array itself");
    CHECK_OK(s, dev_copy(s, back, seat, sizeof back));
    CHECK_SAME(back, array, sizeof back, "filled");
    dev_unseat(s, seat, array);
}

/* Byte 0 of what is kept, which shows the version that was copied. */
static char kept_byte(sluice *s, uint64_t owner, int part, const char *array, size_t bytes)
{
    char byte = 0;
    void *p = dev_keep(s, owner, part, array, bytes);
    CHECK(p != NULL, "%s", sluice_error(s));
    if (p) CHECK_OK(s, dev_copy(s, &byte, p, 1));
    return byte;
}

static void keeps(sluice *s)
{
    enum { LARGE = 100 << 20 }; /* of 256 MiB */
    char small[64] = { 1 }, *large = calloc(LARGE, 1);
    bool device = on_device(s);
    CHECK(dev_keep(s, 1, 0, NULL, 0) == NULL, "no array");
    CHECK(kept_byte(s, 1, 0, small, sizeof small) == 1, "sent");
    small[0] = 2;
    CHECK(kept_byte(s, 1, 0, small, sizeof small) == (device ? 1 : 2), "sent once");
    CHECK(kept_byte(s, 1, 1, small, sizeof small) == 2, "another part");
    CHECK(kept_byte(s, 2, 0, small, sizeof small) == 2, "another owner");
    sluice_exec was = s->exec, other;
    CHECK_OK(s, exec_new(s, 0, &other));
    s->exec = other;
    CHECK(kept_byte(s, 1, 0, small, sizeof small) == 2, "another exec");
    exec_free(s, &other);
    s->exec = was;
    for (uint64_t owner = 3; owner < 6; owner++) kept_byte(s, owner, 0, large, LARGE);
    large[0] = 9;
    CHECK(kept_byte(s, 5, 0, large, LARGE) == (device ? 0 : 9), "the newest stays");
    CHECK(kept_byte(s, 3, 0, large, LARGE) == 9, "the oldest had to go");
    free(large);
}

/* |x - y|^2 of rows first .. first + n of x and the row y. */
static void measure(sluice *s, const float *x, int64_t first, int64_t n, int64_t d, const float *y, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = 1e9f;
    CHECK_OK(s, sluice_op_relax(s, &(sluice_op_relax_args){
                                       .x = sluice_rows(x + first * d, SLUICE_F32, n, d), .y = y, .distance = out }));
}

/* Rows whose host copy has changed since show who reads which. */
static void holds(sluice *s)
{
    enum { N = 40, D = 5 };
    float x[N * D], zero[D] = { 0 }, out[N];
    bool device = on_device(s);
    for (int i = 0; i < N * D; i++) x[i] = (float)(i / D);
    CHECK_OK(s, dev_hold(s, x, N, D));
    CHECK_OK(s, dev_hold(s, x, N, D));
    CHECK_OK(s, dev_hold(s, NULL, 0, D));
    for (int i = 0; i < N * D; i++) x[i] += 100;
    float was = device ? 0 : 100;
    measure(s, x, 0, N, D, zero, out);
    for (int i = 0; i < N; i++) CHECK_NEAR(out[i], D * ((float)i + was) * ((float)i + was), 0, "row %d", i);
    measure(s, x, 7, 20, D, zero, out);
    for (int i = 0; i < 20; i++) CHECK_NEAR(out[i], D * ((float)i + 7 + was) * ((float)i + 7 + was), 0, "row %d", i);
    measure(s, x, 3, 4, D, x + 6 * D, out);
    for (int i = 0; i < 4; i++) CHECK_NEAR(out[i], D * (3 - i) * (3 - i), 0, "a row of them against others, %d", i);
    measure(s, x, 0, 4, D / 2, zero, out); /* another view: not what is held */
    CHECK_NEAR(out[0], 2 * 100 * 100, 0, "narrower rows");
    sluice_status st = sluice_op_convert(s, &(sluice_op_convert_args){ .x = sluice_rows(zero, SLUICE_F32, 1, D),
                                                                       .out = sluice_rows(x, SLUICE_F32, 1, D) });
    CHECK(st == (device ? SLUICE_E_INTERNAL : SLUICE_OK), "written: %s", sluice_error(s));
    dev_drop(s, x), dev_drop(s, x), dev_drop(s, NULL);
    x[D] = 3;
    measure(s, x, 1, 1, D, x + 1 * D, out);
    CHECK_NEAR(out[0], 0, 0, "dropped");
    measure(s, x, 1, 1, D, zero, out);
    CHECK_NEAR(out[0], 3 * 3 + (D - 1) * 101 * 101, 0, "dropped");
    CHECK_OK(s, dev_hold(s, x, N, D)); /* and whoever closes the context drops it */
}

static void rooms(sluice *s)
{
    if (!on_device(s)) return;
    char *a = dev_room(s, 0, 1000), *b = dev_room(s, 1, 1000);
    CHECK(a && b && a != b, "two rooms");
    CHECK(dev_room(s, 0, 10) == a && dev_room(s, 0, 1000) == a, "it stays");
    char *c = dev_room(s, 0, 1 << 20), byte = 3;
    CHECK_OK(s, dev_copy(s, c + (1 << 20) - 1, &byte, 1));
    CHECK(dev_room(s, 1, 1000) == b, "the other is untouched");
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1);
        if (case_is("copies, tier %s", tier_name(t))) copies(s);
        if (case_is("seats, tier %s", tier_name(t))) seats(s);
        if (case_is("what is kept, tier %s", tier_name(t))) keeps(s);
        if (case_is("rows held, tier %s", tier_name(t))) holds(s);
        if (case_is("rooms, tier %s", tier_name(t))) rooms(s);
        sluice_close(s);
    }
    return test_end();
}
