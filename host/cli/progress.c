/* progress.c - what goes to stderr: a bar on a terminal, else a line every ten seconds; log lines; the last line.
 *
 * With --log json every event is one object a line: ts, level, event, job, rank, ranks and what belongs to the event.  A
 * thread of its own sends a heartbeat where nothing else was said for a while, so that silence means trouble. */
#include "cli.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_S = 10, HEARTBEAT_S = 30 };

static struct {
    bool terminal, json, colour;
    bool bar;              /* one is on the screen */
    bool ended;            /* the task that was shown last is done */
    double told;           /* second of the task at which its last line was printed */
    struct timespec began; /* of the program's work */
    const char *job;       /* the scheduler's name of it, or "" */
    int rank, ranks;
    double rate; /* bytes/s of the storage, measured at the start; 0: not known */
} show = { .job = "", .ranks = 1 };

/* The heart, and what it says; lock also keeps lines of two threads apart. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t stop;
    pthread_t thread;
    bool beats, ends;
    double every_s, said; /* seconds since the start */
    sluice_progress last;
    char task[32], unit[32];
} heart = { .lock = PTHREAD_MUTEX_INITIALIZER, .stop = PTHREAD_COND_INITIALIZER };

void progress_start(void)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    show.json = strcmp(common.log, "json") == 0;
    show.terminal = !show.json && isatty(2) && term && strcmp(term, "dumb") != 0;
    show.colour = show.terminal && !(no_colour && *no_colour);
    clock_gettime(CLOCK_MONOTONIC, &show.began);
}

static double seconds_since_start(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - show.began.tv_sec) + 1e-9 * (double)(now.tv_nsec - show.began.tv_nsec);
}

/* ---- json ---- */

/* Bytes above 127 pass as they are: the input is UTF-8 or a file name nobody can spell better. */
void put_json_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p == '"' || *p == '\\') fprintf(f, "\\%c", *p);
        else if (*p < 32 || *p == 127) fprintf(f, "\\u%04x", *p);
        else fputc(*p, f);
    fputc('"', f);
}

static void json_text(const char *key, const char *text)
{
    fprintf(stderr, ",\"%s\":", key);
    put_json_text(stderr, text);
}

static void json_job(void)
{
    if (*show.job) json_text("job", show.job);
    fprintf(stderr, ",\"rank\":%d,\"ranks\":%d", show.rank, show.ranks);
}

static void json_begin(const char *level, const char *event)
{
    pthread_mutex_lock(&heart.lock);
    struct timespec now;
    struct tm utc;
    char ts[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(ts, sizeof ts, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(stderr, "{\"ts\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"", ts, now.tv_nsec / 1000000, level, event);
    json_job();
}

static void json_end(void)
{
    fputs("}\n", stderr);
    fflush(stderr);
    heart.said = seconds_since_start();
    pthread_mutex_unlock(&heart.lock);
}

/* ---- progress ---- */

static void put_duration(char *buf, size_t size, double s)
{
    long t = s < 359999 ? (long)(s + 0.5) : 359999;
    if (t >= 3600) snprintf(buf, size, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else snprintf(buf, size, "%ld:%02ld", t / 60, t % 60);
}

static void put_rate(char *buf, size_t size, double per_s, const char *unit)
{
    static const char *const prefix[] = { "", "k", "M", "G", "T" };
    int i = 0;
    while (per_s >= 1000 && i < 4) per_s /= 1000, i++;
    int decimals = per_s >= 100 ? 0 : per_s >= 10 ? 1 : 2;
    snprintf(buf, size, "%.*f %s%s/s", decimals, per_s, prefix[i], unit);
}

/* "scan  42%  1.2 Mrows/s  2.4 GB/s  0:12 left" */
static void put_facts(char *buf, size_t size, const sluice_progress *p)
{
    char rate[48], bytes[48] = "", left[32] = "";
    double share = p->total > 0 ? (double)p->done / (double)p->total : 0;
    double per_s = p->seconds > 0 ? (double)p->done / p->seconds : 0;
    put_rate(rate, sizeof rate, per_s, p->unit);
    if (p->bytes > 0 && p->seconds > 0) {
        memcpy(bytes, "  ", 2);
        put_rate(bytes + 2, sizeof bytes - 2, p->bytes / p->seconds, "B");
    }
    if (p->done > 0 && p->total > p->done) put_duration(left, sizeof left, p->seconds * (1 - share) / share);
    snprintf(buf, size, "%s %3.0f%%  %s%s%s%s%s", p->task, 100 * share, rate, bytes, *left ? "  " : "", left,
             *left ? " left" : "");
}

static void put_bar(const sluice_progress *p)
{
    char facts[256];
    struct winsize w;
    int columns = ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
    put_facts(facts, sizeof facts, p);
    int room = columns - (int)strlen(facts) - 4, full = 0;
    if (room > 30) room = 30;
    if (room < 5) room = 0;
    if (p->total > 0) full = (int)((double)room * (double)p->done / (double)p->total);
    fprintf(stderr, "\r\033[K");
    if (room) {
        fputs(show.colour ? "\033[36m[" : "[", stderr);
        for (int i = 0; i < room; i++) fputc(i < full ? '#' : '.', stderr);
        fputs(show.colour ? "]\033[0m " : "] ", stderr);
    }
    fprintf(stderr, "%.*s", columns - 1 - (room ? room + 3 : 0), facts);
    fflush(stderr);
    show.bar = true;
}

void progress_clear(void)
{
    if (!show.bar) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    show.bar = false;
}

static void put_json_progress(const char *event, const sluice_progress *p)
{
    json_begin("info", event);
    json_text("task", p->task);
    json_text("unit", p->unit);
    fprintf(stderr, ",\"done\":%lld,\"total\":%lld,\"seconds\":%.3f,\"bytes\":%.0f", (long long)p->done,
            (long long)p->total, p->seconds, p->bytes);
    if (p->seconds > 0)
        fprintf(stderr, ",\"%s_per_s\":%.0f,\"bytes_per_s\":%.0f", p->unit, (double)p->done / p->seconds,
                p->bytes / p->seconds);
    if (p->done > 0 && p->done < p->total)
        fprintf(stderr, ",\"seconds_left\":%.1f", p->seconds * (double)(p->total - p->done) / (double)p->done);
    json_end();
}

/* ---- heartbeat ---- */

/* What was told last, with nothing newer known: a rule that computes for minutes tells nothing. */
static void beat(void)
{
    sluice_progress p = heart.last;
    char task[sizeof heart.task], unit[sizeof heart.unit];
    memcpy(task, heart.task, sizeof task), memcpy(unit, heart.unit, sizeof unit);
    p.task = task, p.unit = unit;
    pthread_mutex_unlock(&heart.lock);
    if (*task) {
        put_json_progress("heartbeat", &p);
    } else {
        json_begin("info", "heartbeat");
        json_end();
    }
    pthread_mutex_lock(&heart.lock);
}

static void *heart_run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&heart.lock);
    while (!heart.ends) {
        double wait = heart.said + heart.every_s - seconds_since_start();
        if (wait <= 0) {
            beat();
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)wait;
        until.tv_nsec += (long)((wait - (double)(time_t)wait) * 1e9);
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&heart.stop, &heart.lock, &until);
    }
    pthread_mutex_unlock(&heart.lock);
    return NULL;
}

/* Signals are the main thread's affair. */
static void heart_start(void)
{
    sigset_t all, old;
    const char *every = getenv("SLUICE_HEARTBEAT_S");
    heart.every_s = every ? strtod(every, NULL) : HEARTBEAT_S;
    if (!(heart.every_s >= 0.01)) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    heart.beats = pthread_create(&heart.thread, NULL, heart_run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void heart_hear(const sluice_progress *p)
{
    pthread_mutex_lock(&heart.lock);
    heart.last = *p;
    snprintf(heart.task, sizeof heart.task, "%s", p->task);
    snprintf(heart.unit, sizeof heart.unit, "%s", p->unit);
    pthread_mutex_unlock(&heart.lock);
}

void progress_job(const sluice *s)
{
    const char *job = getenv("SLURM_JOB_ID");
    show.job = job ? job : "";
    show.rank = sluice_rank(s), show.ranks = sluice_ranks(s);
    if (show.json && !common.quiet) heart_start();
}

void progress_stop(void)
{
    if (!heart.beats) return;
    pthread_mutex_lock(&heart.lock);
    heart.ends = true;
    pthread_cond_signal(&heart.stop);
    pthread_mutex_unlock(&heart.lock);
    pthread_join(heart.thread, NULL);
    heart.beats = false;
}

/* ---- summary ---- */

void progress_measure(sluice *s, const sluice_pool *pool)
{
    if (show.json && !common.quiet && sluice_pool_rate(s, pool, &show.rate)) show.rate = 0; /* the scan will say why */
}

void log_summary(const sluice *s)
{
    sluice_usage u = { .size = sizeof u };
    sluice_get_usage(s, &u);
    if (!show.json || common.quiet || u.seconds <= 0) return;
    json_begin("info", "summary");
    fprintf(stderr, ",\"rows\":%lld,\"bytes\":%.0f,\"seconds\":%.3f,\"rows_per_s\":%.0f,\"bytes_per_s\":%.0f",
            (long long)u.rows, u.bytes, u.seconds, (double)u.rows / u.seconds, u.bytes / u.seconds);
    if (show.rate > 0)
        fprintf(stderr, ",\"storage_bytes_per_s\":%.0f,\"storage_share\":%.3f", show.rate,
                u.bytes / u.seconds / show.rate);
    fprintf(stderr, ",\"stall_seconds\":%.3f,\"busy\":[", u.stall_seconds);
    for (int i = 0; i < u.devices; i++) fprintf(stderr, "%s%.3f", i ? "," : "", u.busy[i] / u.seconds);
    fputc(']', stderr);
    json_end();
}

void progress_show(void *user, const sluice_progress *p)
{
    (void)user;
    if (show.json && !common.quiet) heart_hear(p);
    if (common.quiet || !cli_speaks()) return;
    bool end = p->done >= p->total;
    if (show.terminal) {
        if (end) progress_clear();
        else put_bar(p);
        return;
    }
    if (end && show.ended) return;                           /* the last step and the end both say so */
    if (show.ended || p->seconds < show.told) show.told = 0; /* another task began */
    show.ended = end;
    bool due = p->seconds >= show.told + EVERY_S || (end && show.told > 0); /* a short job shows no line */
    if (!due) return;
    show.told = p->seconds;
    if (show.json) {
        put_json_progress("progress", p);
        return;
    }
    char facts[256];
    put_facts(facts, sizeof facts, p);
    fprintf(stderr, "%s\n", facts);
    fflush(stderr);
}

/* ---- lines ---- */

void log_show(void *user, sluice_level level, const char *line)
{
    (void)user;
    if (!cli_speaks() || level == SLUICE_DEBUG || (common.quiet && level == SLUICE_INFO)) return;
    const char *name = level == SLUICE_WARNING ? "warning" : "info";
    if (show.json) {
        json_begin(name, "log");
        json_text("message", line);
        json_end();
        return;
    }
    progress_clear();
    fprintf(stderr, "%s%s\n", level == SLUICE_WARNING ? "warning: " : "", line);
    fflush(stderr);
}

/* Names come from outside: a control character must not move the cursor, a line break not fake a line of ours. */
static void put_masked(const char *p, const char *end)
{
    for (; p < end; p++) fputc((unsigned char)*p < 32 || *p == 127 ? '?' : *p, stderr);
}

void log_error(const char *message)
{
    const char *hint = strstr(message, "\nhint: ");
    const char *end = hint ? hint : message + strlen(message);
    if (show.json) {
        char *first = strndup(message, (size_t)(end - message));
        json_begin("error", "error");
        json_text("message", first ? first : message);
        if (hint) json_text("hint", hint + strlen("\nhint: "));
        json_end();
        free(first);
        return;
    }
    fputs("sluice: ", stderr);
    put_masked(message, end);
    fputc('\n', stderr);
    if (hint) {
        put_masked(hint + 1, hint + strlen(hint));
        fputc('\n', stderr);
    }
}

void log_wrote(const char *path, int64_t rows, const char *noun, int64_t scanned)
{
    double s = seconds_since_start();
    if (common.quiet || !cli_speaks()) return;
    if (show.json) {
        json_begin("info", "wrote");
        json_text("path", path);
        fprintf(stderr, ",\"%s\":%lld", noun, (long long)rows);
        if (scanned >= 0) fprintf(stderr, ",\"scanned\":%lld", (long long)scanned);
        fprintf(stderr, ",\"seconds\":%.3f", s);
        json_end();
        return;
    }
    progress_clear();
    fprintf(stderr, "wrote %s: %lld %s", path, (long long)rows, noun);
    if (scanned >= 0) fprintf(stderr, ", %lld scanned", (long long)scanned);
    fprintf(stderr, ", %.2f seconds\n", s);
}
