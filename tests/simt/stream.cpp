/* stream.cpp - streams and events.  Operations queue; a stream's run in order, a wait lets its stream on once the event's
 * record has run.  Between streams every order is legal, and SLUICE_SIMT_SCHEDULE says which one it is: a program that
 * forgets a wait gets wrong results under one of them. */
#include "emulator.h"

#include <deque>

namespace simt {

struct event {
    int device;
    uint64_t recorded, done; /* records queued, and run */
    struct stream *stream;   /* of the last record */
    uint64_t number;         /* its operation */
};

struct operation {
    uint64_t number;                 /* counts all operations, in the order of the calls */
    std::function<void()> work;      /* NULL: a record or a wait */
    uint64_t devices;                /* whose memory work touches */
    std::shared_ptr<event> recorded; /* one of the two, or none */
    std::shared_ptr<event> awaited;
    uint64_t version; /* of the event: which record this is, or waits for */
    struct stream *of;
    uint64_t until; /* a wait: the record's stream and operation */
};

struct stream {
    int device;
    std::deque<operation> queue;
    int queries; /* answered with "not ready" */
};

static std::vector<std::unique_ptr<stream>> streams; /* in the order of their creation */
static std::map<cudaEvent_t, std::shared_ptr<event>> events;
static uint64_t operations;

/* ---- one step ---- */

static bool runnable(const stream &s)
{
    const operation &op = s.queue.front();
    return !op.awaited || op.awaited->done >= op.version;
}

/* Work of a failed device is dropped: its events count as reached, so that nobody waits for ever. */
static void run_front(stream &s)
{
    operation op = std::move(s.queue.front());
    s.queue.pop_front();
    if (op.work && device_at(s.device).failure.empty()) {
        open_only(op.devices);
        op.work();
    }
    if (op.recorded) op.recorded->done = op.version;
}

/* ---- schedules ---- */

static enum { LATE, HOST, STREAM, SHUFFLE } schedule;
static uint64_t first_stream;
static random_bits random_choice(1);

static void read_schedule()
{
    static setting s("SLUICE_SIMT_SCHEDULE");
    if (!s.changed()) return;
    std::string word = s.word();
    schedule = word == "host" ? HOST : word == "stream" ? STREAM : word == "shuffle" ? SHUFFLE : LATE;
    first_stream = s.number(0);
    random_choice = random_bits(s.number(1));
}

static bool reached(const stream &s, uint64_t number) { return s.queue.empty() || s.queue.front().number > number; }

/* Up to and with the operation of this number; of other streams what s waits for, and no more.  A wait names a record
 * that was queued before it, so this ends. */
static void run_needed(stream &s, uint64_t number)
{
    while (!reached(s, number)) {
        if (!runnable(s)) run_needed(*s.queue.front().of, s.queue.front().until);
        run_front(s);
    }
}

static void run_each_stream_first(stream &s, uint64_t number)
{
    while (!reached(s, number))
        for (size_t i = 0; i < streams.size(); i++) {
            stream &t = *streams[(i + first_stream) % streams.size()];
            while (!t.queue.empty() && runnable(t)) run_front(t);
        }
}

static void run_one_at_random()
{
    size_t n = streams.size(), first = random_choice(n);
    for (size_t i = 0; i < n; i++) {
        stream &t = *streams[(first + i) % n];
        if (t.queue.empty() || !runnable(t)) continue;
        run_front(t);
        return;
    }
}

static void run_until(stream &s, uint64_t number)
{
    read_schedule();
    if (schedule == STREAM) run_each_stream_first(s, number);
    else if (schedule == SHUFFLE)
        while (!reached(s, number)) run_one_at_random();
    else run_needed(s, number);
    open_only(0);
}

static void add(stream &s, operation op)
{
    op.number = ++operations;
    s.queue.push_back(std::move(op));
    read_schedule();
    if (schedule == HOST) run_until(s, operations);
    if (schedule != SHUFFLE) return;
    while (random_choice(3) == 0) run_one_at_random();
    open_only(0);
}

/* ---- for the runtime ---- */

static stream *stream_of(cudaStream_t handle, const char *what)
{
    for (auto &s : streams)
        if ((cudaStream_t)s.get() == handle) return s.get();
    bool standard = !handle || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
    report(cudaErrorInvalidResourceHandle, standard ? "%s on the default stream" : "%s on a stream that does not exist",
           what);
    return nullptr;
}

static std::shared_ptr<event> event_of(cudaEvent_t handle, const char *what)
{
    auto e = events.find(handle);
    if (e != events.end()) return e->second;
    report(cudaErrorInvalidResourceHandle, "%s an event that does not exist", what);
    return nullptr;
}

int stream_device(cudaStream_t handle)
{
    stream *s = stream_of(handle, "work");
    return s ? s->device : -1;
}

static cudaError_t device_state(const stream &s)
{
    const device &d = device_at(s.device);
    return d.failure.empty() ? cudaSuccess : report(cudaErrorLaunchFailure, "%s", d.failure.c_str());
}

cudaError_t enqueue_on(cudaStream_t handle, const char *what, std::function<void()> work, uint64_t others)
{
    stream *s = stream_of(handle, what);
    if (!s) return cudaErrorInvalidResourceHandle;
    add(*s, { 0, std::move(work), others | 1u << s->device, nullptr, nullptr, 0, nullptr, 0 });
    return device_state(*s);
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work, uint64_t others)
{
    return enqueue_on(stream, "a library's work", std::move(work), others);
}

void finish(cudaStream_t handle) { run_until(*(stream *)handle, operations); }

void finish_device(int device)
{
    for (auto &s : streams)
        if (device < 0 || s->device == device) run_until(*s, operations);
}

} // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    if (flags != cudaStreamNonBlocking)
        return report(cudaErrorInvalidValue, "a stream that waits for the default stream");
    int current;
    cudaGetDevice(&current);
    streams.push_back(std::unique_ptr<stream>(new stream{ current, {}, 0 }));
    *out = (cudaStream_t)streams.back().get();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t handle)
{
    if (!stream_of(handle, "cudaStreamDestroy")) return cudaErrorInvalidResourceHandle;
    finish(handle);
    for (size_t i = 0; i < streams.size(); i++)
        if ((cudaStream_t)streams[i].get() == handle) streams.erase(streams.begin() + (long)i);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    stream *s = stream_of(handle, "cudaStreamSynchronize");
    if (!s) return cudaErrorInvalidResourceHandle;
    finish(handle);
    return device_state(*s);
}

/* Every second "not ready" is a step forward: who asks often enough gets the other answer. */
cudaError_t cudaStreamQuery(cudaStream_t handle)
{
    stream *s = stream_of(handle, "cudaStreamQuery");
    if (!s) return cudaErrorInvalidResourceHandle;
    if (s->queue.empty()) return device_state(*s);
    if (++s->queries % 2 == 0) run_until(*s, s->queue.front().number);
    return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t awaited, unsigned)
{
    stream *s = stream_of(handle, "cudaStreamWaitEvent");
    std::shared_ptr<event> e = event_of(awaited, "cudaStreamWaitEvent for");
    if (!s || !e) return cudaErrorInvalidResourceHandle;
    if (!e->recorded) return report(cudaErrorInvalidResourceHandle, "a stream waits for an event never recorded");
    add(*s, { 0, nullptr, 0, nullptr, e, e->recorded, e->stream, e->number });
    return device_state(*s);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    auto e = std::make_shared<event>(event{ 0, 0, 0, nullptr, 0 });
    cudaGetDevice(&e->device);
    *out = (cudaEvent_t)e.get();
    events[*out] = e;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t handle)
{
    return events.erase(handle) ? cudaSuccess : report(cudaErrorInvalidResourceHandle, "no such event to destroy");
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t on)
{
    stream *s = stream_of(on, "cudaEventRecord");
    std::shared_ptr<event> e = event_of(handle, "cudaEventRecord of");
    if (!s || !e) return cudaErrorInvalidResourceHandle;
    if (e->device != s->device)
        return report(cudaErrorInvalidResourceHandle, "an event of cuda:%d recorded on a stream of cuda:%d", e->device,
                      s->device);
    e->recorded++, e->stream = s, e->number = operations + 1;
    add(*s, { 0, nullptr, 0, e, nullptr, e->recorded, nullptr, 0 });
    return device_state(*s);
}
}
