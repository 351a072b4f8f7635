/* driver.c - runs a fuzz target without libFuzzer: every file of a corpus, then RUNS mutations of them.
 *
 *     fuzz_npy corpus/npy          what the test does
 *     fuzz_npy corpus/npy 123      mutation 123 alone, as the line printed at a crash says
 *     fuzz_npy FILE                one input, for instance one that libFuzzer found
 *
 * Mutation i depends on the corpus and i alone. */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUNS = 8000, INPUTS = 256, BYTES = 1 << 16 };

typedef struct input_bytes {
    uint8_t *data;
    size_t size;
    char name[256];
} input_bytes;

static input_bytes corpus[INPUTS];
static int inputs;
static char last_words[1024]; /* printed when the target dies */

static void say(void)
{
    if (write(2, last_words, strlen(last_words)) < 0) return;
}

static void on_signal(int number)
{
    say();
    signal(number, SIG_DFL);
    raise(number);
}

/* Sanitizers end the program without a signal. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void read_input(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || inputs == INPUTS) {
        fprintf(stderr, "cannot read '%s', or more than %d inputs\n", path, INPUTS);
        exit(1);
    }
    input_bytes *in = &corpus[inputs++];
    in->data = malloc(BYTES);
    if (!in->data) exit(1);
    in->size = fread(in->data, 1, BYTES, f);
    snprintf(in->name, sizeof in->name, "%s", path);
    fclose(f);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const input_bytes *)a)->name, ((const input_bytes *)b)->name);
}

static void read_corpus(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) || !S_ISDIR(facts.st_mode)) {
        read_input(path);
        return;
    }
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char name[1024];
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        read_input(name);
    }
    if (d) closedir(d);
    qsort(corpus, (size_t)inputs, sizeof *corpus, by_name);
}

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* One change of the bytes; returns their new count. */
static size_t mutate(uint8_t *b, size_t n, uint64_t *state)
{
    static const uint64_t edges[] = { 0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xffffffffffffffff };
    size_t at = n ? next(state) % n : 0, length = 1 + next(state) % 8;
    uint64_t r = next(state);
    if (length > n - at) length = n - at;
    switch (next(state) % 8) {
    case 0: /* a bit */
        if (n) b[at] ^= (uint8_t)(1u << r % 8);
        return n;
    case 1: /* a byte, often of text */
        if (n) b[at] = r & 256 ? (uint8_t)r : (uint8_t) "0123456789,\"'{}[]()-:\n\r "[r % 24];
        return n;
    case 2: /* an edge of 1 to 8 bytes */ memcpy(b + at, &edges[r % (sizeof edges / sizeof *edges)], length); return n;
    case 3: /* cut off */ return at;
    case 4: /* a piece taken out */ memmove(b + at, b + at + length, n - at - length); return n - length;
    case 5: /* a piece doubled */
        if (n + length > BYTES) return n;
        memmove(b + at + length, b + at, n - at);
        return n + length;
    case 6: { /* a piece of another input */
        const input_bytes *o = &corpus[r % (uint64_t)inputs];
        size_t from = o->size ? (r >> 32) % o->size : 0, m = o->size - from < 64 ? o->size - from : 64;
        if (m > n - at) m = n - at;
        memcpy(b + at, o->data + from, m);
        return n;
    }
    default: /* a digit more or less */
        for (size_t i = at; i < n; i++)
            if (b[i] >= '0' && b[i] <= '9') {
                b[i] = (uint8_t)('0' + r % 10);
                break;
            }
        return n;
    }
}

static void run_mutation(int i)
{
    static uint8_t work[BYTES + 8];
    uint64_t state = (uint64_t)i * 0x2545f4914f6cdd1du + 1;
    const input_bytes *in = &corpus[i % inputs];
    size_t n = in->size;
    memcpy(work, in->data, n);
    for (uint64_t changes = 1 + next(&state) % 4; changes; changes--) n = mutate(work, n, &state);
    uint8_t *exact = malloc(n ? n : 1); /* a sanitizer sees a read behind the input */
    if (!exact) exit(1);
    memcpy(exact, work, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS|FILE [MUTATION]\n", argv[0]);
        return 2;
    }
    signal(SIGABRT, on_signal), signal(SIGSEGV, on_signal), signal(SIGBUS, on_signal), signal(SIGFPE, on_signal);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(say);
    read_corpus(argv[1]);
    for (int i = 0; i < inputs && argc < 3; i++) {
        snprintf(last_words, sizeof last_words, "died at: %s '%s'\n", argv[0], corpus[i].name);
        LLVMFuzzerTestOneInput(corpus[i].data, corpus[i].size);
    }
    int first = argc > 2 ? atoi(argv[2]) : 0, end = argc > 2 ? first + 1 : inputs ? RUNS : 0;
    for (int i = first; i < end; i++) {
        snprintf(last_words, sizeof last_words, "died at: %s '%s' %d\n", argv[0], argv[1], i);
        run_mutation(i);
    }
    for (int i = 0; i < inputs; i++) free(corpus[i].data);
    sluice_close(fuzz_context());
    printf("%d inputs, %d mutations\n", inputs, end - first);
    return inputs == 0;
}
