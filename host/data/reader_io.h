/* reader_io.h - byte ranges of files, read in the background.  Private to what reads pools and to tests.
 *
 * A job is one range.  It is cut into pieces, so that a disk sees several requests at once; an engine (io_uring, or
 * threads that pread) works on all pieces of all started jobs.  Short reads go on where they ended, EINTR and EAGAIN are
 * tried again at once, errors that may pass (EIO, ESTALE, ETIMEDOUT) after pauses that double.
 *
 * A job may go past the page cache (O_DIRECT).  That is a first attempt at every piece: whatever it leaves behind, an
 * error or the end of a file that ends within a page, is read in the ordinary way. */
#ifndef READER_IO_H
#define READER_IO_H

#include "pool.h"

enum {
    READ_PIECES = 64,
    READ_MAX = 1 << 30, /* bytes of one call; Linux stops at 2 GiB */
    READ_PAGE = 4096,   /* what O_DIRECT wants offsets, lengths and memory to be multiples of, at most */
    READ_ENDED = -1
};

typedef struct read_engine read_engine;

typedef struct read_piece {
    struct read_job *job;
    uint8_t *to;     /* where the rest goes, */
    uint64_t offset; /* where it begins in the file, */
    size_t bytes;    /* and how long it is */
    bool direct;     /* not tried yet: by the job's direct */
    int error;       /* 0, an errno, or READ_ENDED: the file ends before the piece does */
    int retries;     /* at once */
    int passed;      /* the errno that was tried again after a pause, */
    int tries;       /* so many times */
} read_piece;

typedef struct read_job {
    int fd;
    int direct; /* the same file by O_DIRECT, or -1.  Then to and offset differ by a multiple of READ_PAGE, and what is
                   around the range in its first and last page may be written too */
    uint8_t *to;
    uint64_t offset;
    size_t bytes;
    /* the engine's */
    read_engine *engine;
    read_piece piece[READ_PIECES];
    int pieces, claimed, left;
    struct read_job *next;
} read_job;

struct read_engine {
    const char *name;                           /* "io_uring" or "pread" */
    void (*start)(read_engine *e, read_job *j); /* fd .. bytes are set; j and to stay put until wait() */
    void (*wait)(read_engine *e, read_job *j);
    void (*close)(read_engine *e); /* every started job was waited for */
    bool gave_up;                  /* a piece failed for good: nothing is waited for any more */
};

/* want: "uring", "pread", or another and NULL: io_uring where the kernel allows it. */
sluice_status read_engine_open(sluice *s, const char *want, read_engine **out_e);
read_engine *read_uring_open(void); /* NULL with errno set where it cannot be had */
sluice_status read_threads_open(sluice *s, read_engine **out_e);
/* SLUICE_READER: "uring", "pread", "map" or "direct" forces a path, NULL leaves the choice. */
sluice_status read_path_wanted(sluice *s, const char **out_want);

/* What failed in a job that was waited for: 0, or the error of its first bad piece and where it struck. */
int read_job_error(const read_job *j, uint64_t *out_offset);

/* For engines. */
void read_job_cut(read_engine *e, read_job *j);
typedef struct read_call {
    int fd;
    uint8_t *to;
    size_t bytes;
    uint64_t offset;
} read_call;
read_call read_piece_call(const read_piece *p); /* what to ask the kernel for */
/* Accounts for what one read returned (bytes, 0 at the end of the file, -errno); true: the piece is over. */
bool read_piece_step(read_piece *p, int64_t got);
void read_piece_pread(read_piece *p); /* reads the rest of the piece here and now */

/* Tests put a function here that sees, and may change, what every read returned (bytes or -errno).  It is called from
 * any thread. */
extern int64_t (*read_fault)(int fd, uint64_t offset, size_t bytes, int64_t got);

/* After an error that may pass: sleeps, and true; false: another error, or tried often enough.  *tries begins at 0. */
bool read_again(int error, int *tries);
extern int64_t read_pause_ns; /* before the first of the tries; tests have less patience */

/* ---- a range of a file, used in place ---- */
typedef struct read_map {
    uint8_t *base;
    size_t bytes;
    const uint8_t *data; /* the first byte asked for */
    struct guard *guard;
} read_map;

/* Around all use of maps: faults of mapped pages are caught in between. */
void read_map_begin(void);
void read_map_end(void);
/* Whether the range is in the page cache, as far as a few probes can tell. */
bool read_map_resident(int fd, uint64_t offset, size_t bytes);
/* False: it cannot be mapped now, read it instead. */
bool read_map_open(int fd, uint64_t offset, size_t bytes, read_map *out);
/* False: some of the bytes could not be had, zeros were seen in their place. */
bool read_map_close(read_map *m);

/* ---- the file of a shard, shared by the jobs that read it ---- */
typedef struct shard_file {
    const shard *sh;
    int fd, users;
    int direct; /* past the page cache, or -1 */
} shard_file;

sluice_status shard_file_open(sluice *s, const shard *sh, shard_file **out_f); /* users = 1 */
void shard_file_go_direct(shard_file *f); /* sets direct, where the file system has that */
void shard_file_drop(shard_file *f);      /* NULL allowed; closes with the last user */
/* Whether the file is what the pool was opened with; E_DATA when its size, time or inode is another. */
bool shard_file_same(const shard_file *f);
sluice_status shard_file_check(sluice *s, const shard_file *f);
/* What went wrong in a job on f, as a status: OK, E_IO with the offset, or E_DATA. */
sluice_status shard_file_result(sluice *s, const shard_file *f, const read_job *j);

#endif
