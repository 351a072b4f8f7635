/* sluice.h - choose which rows of an unlabelled pool to label next.
 *
 * Reading order: status, context, pool, labels, head, train and eval, select and score, simulate.
 *
 *     sluice *s; sluice_pool *pool; sluice_head *head; sluice_picks *picks;
 *     sluice_open(NULL, &s);
 *     sluice_pool_open(s, &(sluice_pool_args){ .size = sizeof(sluice_pool_args), .paths = paths, .path_count = 1 }, &pool);
 *     sluice_head_load(s, "head.safetensors", &head);
 *     sluice_select(s, pool, &(sluice_select_args){ .size = sizeof(sluice_select_args), .head = head,
 *                   .strategies = "margin", .k = 100 }, &picks);
 *
 * Conventions.  Every call returns a status; sluice_error(s) then holds one line that names what was attempted, the
 * file and the value.  Option structs begin with their size (forward compatibility) and a zeroed field means the
 * default.  `out_x` is written on success only.  Every _free takes NULL.  One call at a time per `sluice *`; different
 * contexts are independent.  The library never prints and never exits.
 * While a call reads pool files, parts of them that lie in the page cache are mapped, and a SIGBUS handler answers
 * faults in those mappings (a file that was cut becomes E_DATA); all others go to the handler that was there.
 *
 * Exactness.  Picks are a pure function of (pool bytes and ids, head bytes, labels, exclusions, strategy with its
 * parameters, k, seed): the same bits on every CPU tier, thread count, block size and shard split (docs/numerics.md). */
#ifndef SLUICE_H
#define SLUICE_H

#include <stddef.h>
#include <stdint.h>

#define SLUICE_VERSION "0.1.0"

#if defined(__GNUC__)
#define SLUICE_API __attribute__((visibility("default")))
#else
#define SLUICE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One list makes the codes, their texts and the exit code the program ends with. */
#define SLUICE_STATUS_LIST(X)                                                                                          \
    X(OK, 0, "done")                                                                                                   \
    X(E_INTERNAL, 1, "internal error")                                                                                 \
    X(E_MEMORY, 1, "out of memory")                                                                                    \
    X(E_USAGE, 2, "wrong usage")                                                                                       \
    X(E_UNSUPPORTED, 2, "not supported here")                                                                          \
    X(E_SHAPE, 65, "shapes do not fit")                                                                                \
    X(E_TYPE, 65, "wrong element type")                                                                                \
    X(E_FORMAT, 65, "malformed file")                                                                                  \
    X(E_DATA, 65, "bad data")                                                                                          \
    X(E_MISSING, 66, "missing input")                                                                                  \
    X(E_WRITE, 73, "cannot write")                                                                                     \
    X(E_IO, 74, "input/output error")                                                                                  \
    X(E_CANCELLED, 75, "stopped before the end")

typedef enum sluice_status {
#define SLUICE_X(name, exit_code, text) SLUICE_##name,
    SLUICE_STATUS_LIST(SLUICE_X)
#undef SLUICE_X
} sluice_status;

typedef struct sluice sluice;               /* a context: devices, threads, memory, callbacks, last error */
typedef struct sluice_pool sluice_pool;     /* rows of features with their ids, never in memory as a whole */
typedef struct sluice_labels sluice_labels; /* rows of a pool with their classes */
typedef struct sluice_head sluice_head;     /* a small classifier on features */
typedef struct sluice_picks sluice_picks;   /* the result of a selection */

SLUICE_API const char *sluice_version(void);
SLUICE_API const char *sluice_status_text(sluice_status st);
SLUICE_API int sluice_exit_code(sluice_status st); /* sysexits-like: 0, 1, 2, 65, 66, 73, 74, 75 */

/* ---- context ---------------------------------------------------------------------------------------------- */

typedef enum sluice_level { SLUICE_DEBUG, SLUICE_INFO, SLUICE_WARNING } sluice_level;

typedef struct sluice_progress {
    const char *task;    /* "scan", "train", ... */
    int64_t done, total; /* in units */
    const char *unit;    /* "rows", "epochs", "rounds" */
    double seconds;      /* since the task began */
    double bytes;        /* read since the task began */
} sluice_progress;

typedef struct sluice_options {
    size_t size;
    int threads;         /* 0: what affinity, the cgroup, SLURM_CPUS_PER_TASK and OMP_NUM_THREADS allow */
    int64_t mem_mib;     /* buffers of a pool scan; 0: 1024 */
    const char *devices; /* "auto" (NULL), "cpu", "all", "cuda:0,cuda:1" */
    void (*log)(void *user, sluice_level level, const char *line);
    void (*progress)(void *user, const sluice_progress *p); /* called at most ten times a second and at the end */
    void *user;
    int64_t device_mem_mib; /* most memory to take of a GPU; 0: as much as is free */
    const char *math;       /* of pool scans: "exact" (NULL), or "fast": a GPU's tensor cores, other bits */
    int ranks;              /* 1: work with the other processes that mpirun or srun started, see below; 0: alone */
} sluice_options;

/* Processes with ranks make the same calls in the same order, and each call returns the same status in all of them; after one
 * that failed the context can only be closed.  Rank 0 has the results and writes the files.  They are joined by MPI,
 * through the plug-in libsluice_mpi.so. */
SLUICE_API int sluice_rank(const sluice *s);  /* 0 .. sluice_ranks() - 1 */
SLUICE_API int sluice_ranks(const sluice *s); /* 1: alone */

/* Fails with E_USAGE (unknown device or SLUICE_CPU tier, several processes and no MPI).  *out_s is set also on failure, so that its error can be
 * read; close it either way. */
SLUICE_API sluice_status sluice_open(const sluice_options *o, sluice **out_s);
SLUICE_API void sluice_close(sluice *s);
SLUICE_API const char *sluice_error(const sluice *s); /* "" after success; may hold a second line "hint: ..." */
SLUICE_API void
sluice_cancel(sluice *s); /* from any thread or signal handler: the running call ends with E_CANCELLED */

/* What the scans of a context have done so far, for logs. */
typedef struct sluice_usage {
    size_t size; /* set by the caller */
    int64_t rows;
    double bytes, seconds; /* read; from the beginning to the end of scans */
    double stall_seconds;  /* of them: waited for the storage */
    int devices;           /* GPUs, or 1: the CPU */
    double busy[64];       /* seconds in which each had rows to score */
} sluice_usage;
SLUICE_API void sluice_get_usage(const sluice *s, sluice_usage *out_usage);

/* ---- pool ------------------------------------------------------------------------------------------------- */

typedef enum sluice_type { SLUICE_F32, SLUICE_F16, SLUICE_BF16, SLUICE_F64, SLUICE_I8, SLUICE_U8 } sluice_type;
SLUICE_API size_t sluice_type_bytes(sluice_type t);
SLUICE_API const char *sluice_type_name(sluice_type t); /* "f32", ... */

typedef struct sluice_pool_args {
    size_t size;
    const char *const *paths; /* files, directories, globs, list files (.txt, .list) or pool.json */
    int path_count;
    const char *ids;    /* .txt .csv .npy with one id a row; NULL: X.ids.txt beside X, ids in pool.json, row numbers */
    const char *tensor; /* which tensor of a .safetensors; NULL: the only one */
} sluice_pool_args;

/* Reads headers and ids, never features.  Shards keep the order given (directories: natural name order).
 * Fails with E_MISSING, E_FORMAT (header, short file), E_SHAPE (width differs between shards), E_TYPE, E_DATA
 * (duplicate ids). */
SLUICE_API sluice_status sluice_pool_open(sluice *s, const sluice_pool_args *a, sluice_pool **out_pool);

/* Borrows rows [n, d] of type, row i at data + i * stride_bytes; ids [n] or NULL (row numbers). */
SLUICE_API sluice_status sluice_pool_from_rows(sluice *s, const void *data, sluice_type type, int64_t n, int64_t d,
                                               size_t stride_bytes, const uint64_t *ids, sluice_pool **out_pool);
SLUICE_API void sluice_pool_free(sluice_pool *pool);

typedef struct sluice_pool_info {
    int64_t rows, width; /* width = product of shape[1..] */
    int64_t shape[3];    /* of one row: [d,0,0] or [h,w,c] */
    int shards;
    sluice_type type;     /* of the first shard */
    int has_ids;          /* 0: ids are row numbers */
    uint64_t fingerprint; /* shard names, rows, width, type */
    double bytes;
} sluice_pool_info;
SLUICE_API void sluice_pool_get_info(const sluice_pool *pool, sluice_pool_info *out_info);
/* Bytes/s of a short read of the pool, half a second at most; 0 where it has no files. */
SLUICE_API sluice_status sluice_pool_rate(sluice *s, const sluice_pool *pool, double *out_bytes_per_s);
SLUICE_API uint64_t sluice_pool_id64(const sluice_pool *pool, int64_t row);
/* Text of a row's id into buf (always terminated); returns its whole length. */
SLUICE_API size_t sluice_pool_id_text(const sluice_pool *pool, int64_t row, char *buf, size_t size);

/* ---- labels ----------------------------------------------------------------------------------------------- */

/* .csv (id,label[,source]), .npy of ints over the pool (-1: unlabelled), idx[.gz].  classes: a file with one class
 * name a line, or NULL (the distinct labels in byte order; all integers: the index is the value). */
SLUICE_API sluice_status sluice_labels_load(sluice *s, const sluice_pool *pool, const char *path, const char *classes,
                                            sluice_labels **out_labels);
/* row_class [n over the pool], -1 = unlabelled. */
SLUICE_API sluice_status sluice_labels_from_array(sluice *s, const sluice_pool *pool, const int32_t *row_class,
                                                  int classes, sluice_labels **out_labels);
SLUICE_API void sluice_labels_free(sluice_labels *labels);
SLUICE_API int64_t sluice_labels_count(const sluice_labels *labels);
SLUICE_API int sluice_labels_classes(const sluice_labels *labels);

/* Rows of ids: one a line, or a .csv with an id column (labels, picks).  Unknown ids: E_DATA.  sluice_free(*out_rows). */
SLUICE_API sluice_status sluice_rows_load(sluice *s, const sluice_pool *pool, const char *path, int64_t **out_rows,
                                          int64_t *out_count);
/* csv id,group: a number for each group text, -1: in no group.  *out_group [rows of the pool]; sluice_free() it. */
SLUICE_API sluice_status sluice_groups_load(sluice *s, const sluice_pool *pool, const char *path, int32_t **out_group);
SLUICE_API void sluice_free(void *p); /* arrays and texts that a call returned; NULL allowed */

/* ---- head ------------------------------------------------------------------------------------------------- */

SLUICE_API sluice_status sluice_head_load(sluice *s, const char *path, sluice_head **out_head);
SLUICE_API sluice_status sluice_head_save(sluice *s, const sluice_head *head, const char *path, int force);
SLUICE_API void sluice_head_free(sluice_head *head);
SLUICE_API int sluice_head_classes(const sluice_head *head);
SLUICE_API const char *sluice_head_class_name(const sluice_head *head, int j);
SLUICE_API const char *sluice_head_layers(const sluice_head *head); /* the layer line */

typedef struct sluice_train_args {
    size_t size;
    const sluice_labels *labels;
    const char *layers; /* NULL: "linear" */
    double
        l2; /* linear: C of sum CE + |W|^2/(2C); 0: chosen out of fold.  Layer lines: weight decay, 0: 1e-2 (adamw), 5e-4 (sgd) */
    uint64_t seed;
    const char *class_weights; /* NULL (all 1) or "balanced" */
    const char *optimizer;     /* layer lines: "adamw" (NULL) or "sgd" */
    double rate;               /* learning rate, 0: 1e-3 (adamw), 0.05 (sgd) */
    int epochs;                /* at most; 0: chosen from the number of labels */
    int batch;                 /* 0: 16, 32 or 64 by the number of labels */
    int patience;              /* early stopping on the calibration split, in epochs; 0: 10 */
    const char *loss_log;      /* csv path: epoch,train_loss,calibration_loss; NULL: none */
    const sluice_pool
        *pseudo; /* self-training of a linear head: what it says of this pool's rows becomes labels, where it
                                  is as sure as pseudo_threshold, and a more regularised head is fitted to all; NULL: none */
    double pseudo_threshold; /* 0: 0.8 */
} sluice_train_args;
/* Exact for linear heads, self-trained or not, on every backend; layer lines are bit-identical for any CPU tier and thread count. */
SLUICE_API sluice_status sluice_train(sluice *s, const sluice_pool *pool, const sluice_train_args *a,
                                      sluice_head **out_head);

typedef struct sluice_class_result {
    int64_t n, correct, predicted; /* rows of the class, of them predicted right, rows predicted as the class */
} sluice_class_result;

typedef struct sluice_eval_result {
    int64_t n, correct;
    double accuracy, accuracy_low, accuracy_high; /* Wilson interval, 95% */
    double nll, ece, macro_f1;
    int64_t train_overlap; /* rows the head was trained on */
    int classes;
    sluice_class_result *per_class; /* [classes] */
    int64_t *confusion;             /* [classes, classes], row = true class; NULL above 4,096 classes */
} sluice_eval_result;
/* Classes are those of the head, matched to the labels' by name.  A row whose class the head does not know, or without
 * finite logits, counts as wrong; the NLL is the mean over the rows of known classes. */
SLUICE_API sluice_status sluice_eval(sluice *s, const sluice_pool *pool, const sluice_head *head,
                                     const sluice_labels *labels, sluice_eval_result *out_result);
SLUICE_API void sluice_eval_result_release(sluice_eval_result *r);

/* ---- score and select ------------------------------------------------------------------------------------- */

/* What can be asked for.  NAME:key=value sets a parameter; power-SCORE stands for power- before any score's name. */
typedef struct sluice_strategy {
    const char *name;       /* "margin", "power-SCORE" */
    const char *parameters; /* "beta=1", "" */
    int needs_head;         /* a head, or logits, or probs */
    const char *what, *paper, *cost;
} sluice_strategy;
SLUICE_API const sluice_strategy *sluice_strategy_at(int i); /* NULL behind the last */
/* What it cannot do without: "head", "held-out" (a head that holds logits of rows left out), "rows" (labelled ones, or
 * those that the head was trained on), "head, rows", "labels" (with their classes), "classes" (how many), "--like" (rows
 * to be like), "as SCORE", "-" (nothing); NULL behind the last. */
SLUICE_API const char *sluice_strategy_needs(int i);

/* What a call with dry_run would take.  Bytes are doubles: they only inform. */
typedef struct sluice_plan {
    int64_t rows, gathered;       /* rows of the scan; rows read by themselves: candidates, references, picks */
    int passes;                   /* reads of the pool: 1, or 0 where only chosen rows are read */
    double bytes, gathered_bytes; /* read by the scan, and of chosen rows */
    double memory, memory_free;   /* bytes of host memory: needed by this process, and to be had */
    int devices;                  /* GPUs that score; 0: the CPU does */
    double device_memory;         /* bytes on each, beside the head */
    double written, disk_free; /* bytes of the outputs, which are temporary files until they are whole; -1: not known */
    double read_rate,
        scan_rate;  /* bytes/s of reading, rows/s of reading and scoring: of a short read; 0: nothing to read */
    double seconds; /* to read and score; what a batch rule computes comes on top */
} sluice_plan;

typedef struct sluice_score_args {
    size_t size;
    const sluice_head *head;           /* or NULL with logits or probs */
    const sluice_pool *logits, *probs; /* outputs of any model [n, c], instead of a head */
    const char *scores;                /* "entropy,margin,prediction,confidence,logits,..." */
    uint64_t seed;                     /* random and power- scores */
    const char *out;                   /* .npy path [n, columns] f32; column names in the manifest beside it */
    int force;
    const sluice_labels *labels; /* rows that outlier scores compare with; NULL: the head's training rows */
    const int64_t *like;         /* rows that similarity compares with */
    int64_t like_count;
    const sluice_head *const *committee; /* as for select */
    int committee_count;
    const char *checkpoint; /* as for select; on the file system of out, whose rows are kept there too */
    double checkpoint_s;
    int fresh;
    int dry_run; /* as for select */
    sluice_plan *plan;
} sluice_score_args;
/* Rows with NaN or infinity are NaN in every column.  An output of the same inputs that is
 * there already is left as it is. */
SLUICE_API sluice_status sluice_score(sluice *s, const sluice_pool *pool, const sluice_score_args *a);

typedef struct sluice_select_args {
    size_t size;
    const sluice_head *head;
    const sluice_pool *logits, *probs;
    const char *strategies; /* "margin" or several, "margin,entropy,power-margin:beta=1" */
    int64_t k;              /* picks per strategy */
    uint64_t seed;
    const sluice_labels *labels; /* their rows are excluded; NULL: none */
    const int64_t *exclude;      /* further rows that must not be picked */
    int64_t exclude_count;
    const int32_t *group; /* [n] group of each row or NULL; at most per_group picks of a group */
    int64_t per_group;
    int balance;         /* spread the picks evenly over predicted classes */
    const char *mix;     /* "margin:70,random:20,entropy:10" instead of strategies */
    double max_bad;      /* share of rows that may hold NaN or infinity, 0: 0.01 */
    const char *out;     /* where sluice_picks_write() will put them, or NULL: an output of other inputs fails
                                         before the scan, one of the same inputs makes the scan needless */
    int force;           /* overwrite out */
    int dry_run;         /* check everything, write nothing; the lists stay empty */
    double dedupe;       /* no pick nearer than that to another pick or to a labelled row, both divided by their length:
                        1e-6 (equal rows) to 2; 0: off */
    const int64_t *like; /* rows that similarity compares with; they are never picked */
    int64_t like_count;
    /* Further heads [committee_count], of head's classes and width: with it they are the passes of bald,
     * variation-ratio, flips and dropquery.  All else, predictions too, is head's; rows that any of them was trained on are never picked. */
    const sluice_head *const *committee;
    int committee_count;
    /* shards > 0: scan the shard-th (from 0) of so many parts of the pool, and write to out what is then known, for
     * sluice_merge(); the lists stay empty.  note: any text, kept in that file. */
    int shard, shards;
    const char *note;
    /* NULL, or a folder, made when needed: every checkpoint_s seconds (0: 30), and when the scan is cancelled, its state
     * is kept there, and the same call goes on from it with any devices and threads.  sluice_picks_write() removes it.
     * fresh: what is there is thrown away. */
    const char *checkpoint;
    double checkpoint_s;
    int fresh;
    /* with dry_run: NULL, or gets what the call would take, for which a little of the pool is read.  Then the call fails
     * with E_MEMORY or E_WRITE, and the bytes, where memory or the disk are too small. */
    sluice_plan *plan;
} sluice_select_args;
/* One read of the pool for any number of strategies; random alone reads only the rows it picks.  *out_picks holds one
 * list per strategy (mix: one list); NULL at ranks other than 0.  Rows of labels, exclude, and the training rows of a head trained on this very pool
 * are never picked.  The pool must outlive the picks.  Fails with E_USAGE (unknown strategy, no head, negative k), E_SHAPE
 * (width of head or rows of logits), E_DATA (more bad rows than max_bad, a checkpoint of another run), E_WRITE (out
 * holds other picks). */
SLUICE_API sluice_status sluice_select(sluice *s, const sluice_pool *pool, const sluice_select_args *a,
                                       sluice_picks **out_picks);

typedef struct sluice_pick {
    int64_t row;
    uint64_t id64;
    float score;
    int32_t prediction;   /* -1: no head */
    float confidence;     /* NaN: no head */
    const char *strategy; /* with mix: which part picked the row */
} sluice_pick;
SLUICE_API int sluice_picks_lists(const sluice_picks *p);
SLUICE_API const char *sluice_picks_strategy(const sluice_picks *p, int list);
SLUICE_API int64_t sluice_picks_count(const sluice_picks *p, int list);
SLUICE_API const sluice_pick *sluice_picks_get(const sluice_picks *p, int list); /* [count], best first */

typedef struct sluice_picks_info {
    int64_t rows;             /* of the pool */
    int64_t scanned;          /* rows whose features (or logits) were read */
    int64_t excluded;         /* rows that could not be picked: labelled, excluded, trained on */
    int64_t excluded_trained; /* of them: known only from the head */
    int64_t quarantined;      /* rows with NaN or infinity */
    double bytes, seconds;
    int done; /* out was there already, of the same inputs: nothing was scanned */
} sluice_picks_info;
SLUICE_API void sluice_picks_get_info(const sluice_picks *p, sluice_picks_info *out_info);
/* .csv, .jsonl or .npy by the ending; "-" is csv on stdout.  The manifest goes beside it (PATH without ending +
 * .manifest.json).  Several lists: path is a directory. */
SLUICE_API sluice_status sluice_picks_write(sluice *s, const sluice_picks *p, const char *path, int force);
SLUICE_API void sluice_picks_free(sluice_picks *p);

/* The picks of one sluice_select() that was made in parts (shards > 0): files parts [part_count], each part once, in any
 * order.  Strategies or mix, k, seed, per_group, balance, dedupe and max_bad of a are not looked at but taken from the
 * parts; heads, labels and all else that picks depend on are given again.  Reads of the pool the candidates that a batch
 * rule wants, and the picked rows.  Fails with E_MISSING (a part), E_DATA (a part twice, or of another run: the message
 * names the file and what differs) or E_FORMAT (a damaged file). */
SLUICE_API sluice_status sluice_merge(sluice *s, const sluice_pool *pool, const char *const *parts, int part_count,
                                      const sluice_select_args *a, sluice_picks **out_picks);
/* The note of a part; "" without one.  sluice_free(*out_note). */
SLUICE_API sluice_status sluice_part_note(sluice *s, const char *path, char **out_note);

/* ---- simulate: known labels play the annotator ------------------------------------------------------------ */

typedef struct sluice_simulate_args {
    size_t size;
    const sluice_labels *labels; /* of the whole pool */
    const sluice_pool *test;
    const sluice_labels *test_labels;
    const char *strategies;
    int64_t start, start_per_class; /* one of them; both 0: a cold start */
    int64_t batch;
    int rounds, seeds;
    uint64_t seed;           /* of the first run; run i uses seed + i */
    sluice_train_args train; /* labels and seed are set by the simulation.  pseudo_threshold above 0: heads are also
                                self-trained on the pool, and judged beside; they choose no batch */
    const char *out;         /* directory */
    const char *command;     /* the command line that repeats this, for run.json; may be NULL */
    int force;
    char **out_table; /* NULL, or gets table.md's text; sluice_free() it */
} sluice_simulate_args;
/* Every strategy of a seed starts from the same rows and retrains from scratch each round; the test set chooses nothing.
 * Cold: nothing is labelled at first and round 0 is the first batch, by strategies that need no head as they choose, for
 * the others what "random" picks.  A call that was cut short goes on where it stopped when it is made again. */
SLUICE_API sluice_status sluice_simulate(sluice *s, const sluice_pool *pool, const sluice_simulate_args *a);
/* What simulations of the same strategies and seeds on several data sets say together: table.md, summary.json,
 * report.html and run.json in folder, from its sub-folders names [count], which sluice_simulate() filled.
 * command and out_table as there. */
SLUICE_API sluice_status sluice_simulate_join(sluice *s, const char *folder, const char *const *names, int count,
                                              const char *command, char **out_table);

#ifdef __cplusplus
}
#endif
#endif
