/* faults.cu - does the emulator find what it is there to find?  Each case has a planted fault and a right variant.  The
 * fault must be reported, in the words the case names, by some schedule and order; the right variant must work under
 * all of them.  Every run is a process of its own: a device that failed stays failed, and some faults end the process.
 *
 *     simt_faults [CASE]       an argument runs the cases whose name contains it and prints what they say */
#include "gpu.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#ifdef SIMT_TRACE
static const bool traced = true;
#else
static const bool traced = false;
#endif

enum { N = 256 };

/* ---- kernels: block N unless said otherwise ---- */

template <bool right> __global__ void neighbour(const int *in, int *out)
{
    __shared__ int s[N];
    int t = threadIdx.x;
    s[t] = in[t];
    if (right) __syncthreads();
    out[t] = s[(t + 97) % N];
}

template <bool right> __global__ void reused_buffer(const int *in, int *out)
{
    __shared__ int s[N / 32];
    int t = threadIdx.x, sum = 0;
    for (int round = 0; round < 4; round++) {
        int v = (int)__ballot_sync(~0u, (in[t] + round) & 4);
        if (t % 32 == 0) s[t / 32] = v;
        __syncthreads();
        if (t < N / 2)
            for (int i = 0; i < N / 32; i++) sum += s[i];
        if (right) __syncthreads(); /* the others run ahead into the next round */
    }
    out[t] = sum;
}

template <bool right> __global__ void warp_exchange(const int *in, int *out)
{
    __shared__ int s[N];
    int t = threadIdx.x;
    s[t] = in[t];
    if (right) __syncwarp();
    out[t] = s[t ^ 1];
}

template <bool right> __global__ void counter(const int *in, int *out)
{
    __shared__ int count;
    int t = threadIdx.x;
    if (t == 0) count = 0;
    __syncthreads();
    if (right) atomicAdd(&count, in[t] & 1);
    else count += in[t] & 1;
    __syncthreads();
    out[t] = count;
}

template <bool right> __global__ void in_place(const int *in, int *out)
{
    int t = threadIdx.x;
    out[t] = in[t];
    __syncthreads();
    int v = out[(t + 1) % N];
    if (right) __syncthreads();
    out[t] = v;
}

/* Two blocks. */
template <bool right> __global__ void block_order(const int *in, int *out)
{
    int t = threadIdx.x;
    if (right ? t % 2 == (int)blockIdx.x : blockIdx.x == 0) out[t] = in[t];
    else if (!right) out[t]++;
}

template <bool right> __global__ void barrier_in_branch(const int *in, int *out)
{
    int t = threadIdx.x;
    if (right) __syncthreads();
    else if (t < N / 2) __syncthreads();
    else __syncthreads();
    out[t] = in[t];
}

template <bool right> __global__ void barrier_count(const int *in, int *out)
{
    int t = threadIdx.x;
    for (int i = 0; i < (right ? 4 : 3 + (t < 32)); i++) __syncthreads();
    out[t] = in[t];
    __syncwarp();
    if (!right && t < 32) __syncthreads();
    if (!right && t >= 32) __syncthreads();
}

template <bool right> __global__ void absent_lane(const int *in, int *out)
{
    int t = threadIdx.x, v = in[t];
    if (right) v += __shfl_xor_sync(~0u, v, 1);
    else if (t % 32 < 24) v += __shfl_xor_sync(~0u, v, 1);
    else v += __shfl_down_sync(0xff000000u, v, 1);
    out[t] = v;
}

template <bool right> __global__ void inactive_source(const int *in, int *out)
{
    int t = threadIdx.x, v = in[t];
    if (t % 32 < 16) v = __shfl_down_sync(0xffffu, v, right ? 0 : 8);
    out[t] = v;
}

template <bool right> __global__ void past_the_end(const int *in, int *out)
{
    int t = threadIdx.x;
    out[t] = in[t + !right];
}

template <bool right> __global__ void past_shared(const int *in, int *out)
{
    GPU_DYNAMIC(int, s);
    int t = threadIdx.x;
    s[t + !right] = in[t];
    out[t] = s[t + !right];
}

template <bool right> __global__ void never_cleared(const int *in, int *out)
{
    __shared__ int s[N];
    int t = threadIdx.x;
    if (right) s[t] = 0;
    s[t] += in[t];
    out[t] = s[t];
}

template <bool right> __global__ void misaligned(const int *in, int *out)
{
    int t = threadIdx.x;
    if (t < N / 4 - 1) ((int4 *)out)[t] = *(const int4 *)(in + 4 * t + (right ? 0 : 1));
    else
        for (int i = 0; i < 4 && t < N / 4; i++) out[4 * t + i] = 0;
}

template <bool right> __global__ void async_copy(const int *in, int *out)
{
    __shared__ __align__(16) int s[N * 4];
    int t = threadIdx.x;
    gpu::copy16_async(s + 4 * t, in);
    gpu::copies_commit();
    if (right) gpu::copies_wait<0>();
    __syncthreads();
    out[t] = s[4 * ((t + 1) % N)];
    if (!right) gpu::copies_wait<0>();
}

/* Two blocks. */
template <bool right> __global__ void waits_for_block(const int *in, int *out)
{
    int t = threadIdx.x;
    if (!right && blockIdx.x == 0)
        while (atomicCAS(out, 7, 7) != 7) {}
    if (blockIdx.x == 1) out[t] = right ? in[t] : 7;
}

__global__ void copy_ints(const int *in, int *out) { out[threadIdx.x] = in[threadIdx.x]; }

__constant__ int factor[4];
__global__ void times_factor(const int *in, int *out) { out[threadIdx.x] = in[threadIdx.x] * factor[1]; }

/* ---- what a case says: printed, and read by the parent ---- */

static void check(cudaError_t e)
{
    if (e != cudaSuccess) printf("%s\n", cudaGetErrorString(e)), exit(1);
}

static cudaStream_t stream_on(int device)
{
    cudaStream_t s;
    check(cudaSetDevice(device));
    check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    return s;
}

static int *ints_on(int device, int n = N)
{
    int *p;
    check(cudaSetDevice(device));
    check(cudaMalloc(&p, (size_t)n * sizeof *p));
    return p;
}

static std::vector<int> numbers()
{
    std::vector<int> v(N);
    for (int i = 0; i < N; i++) v[(size_t)i] = i * 37 % 1013;
    return v;
}

static void upload(int *to, const std::vector<int> &from, cudaStream_t s)
{
    check(cudaMemcpyAsync(to, from.data(), from.size() * sizeof(int), cudaMemcpyHostToDevice, s));
}

static std::vector<int> download(const int *from, cudaStream_t s)
{
    std::vector<int> v(N);
    check(cudaMemcpyAsync(v.data(), from, N * sizeof(int), cudaMemcpyDeviceToHost, s));
    return v;
}

static void expect(const std::vector<int> &got, const std::vector<int> &want)
{
    for (size_t i = 0; i < want.size(); i++)
        if (got[i] != want[i]) {
            printf("wrong result: element %zu is %d, not %d\n", i, got[i], want[i]);
            exit(1);
        }
}

/* ---- cases: kernels ---- */

template <class K> static std::vector<int> kernel_result(K k, int grid, size_t shared = 0)
{
    cudaStream_t s = stream_on(0);
    int *in = ints_on(0), *out = ints_on(0);
    upload(in, numbers(), s);
    check(gpu::launch(k, grid, N, shared, s, in, out));
    return download(out, s);
}

/* The right variant runs first, in forward order on this process's fresh device: the result to have. */
#define KERNEL_CASE(kernel, grid, shared)                                                                              \
    static void kernel##_case(bool right)                                                                              \
    {                                                                                                                  \
        std::vector<int> want = kernel_result(kernel<true>, grid, shared);                                             \
        expect(kernel_result(right ? kernel<true> : kernel<false>, grid, shared), want);                               \
    }
KERNEL_CASE(neighbour, 1, 0)
KERNEL_CASE(reused_buffer, 1, 0)
KERNEL_CASE(warp_exchange, 1, 0)
KERNEL_CASE(counter, 1, 0)
KERNEL_CASE(in_place, 1, 0)
KERNEL_CASE(block_order, 2, 0)
KERNEL_CASE(barrier_in_branch, 1, 0)
KERNEL_CASE(barrier_count, 1, 0)
KERNEL_CASE(absent_lane, 1, 0)
KERNEL_CASE(inactive_source, 1, 0)
KERNEL_CASE(past_the_end, 1, 0)
KERNEL_CASE(past_shared, 1, N * sizeof(int))
KERNEL_CASE(never_cleared, 1, 0)
KERNEL_CASE(misaligned, 1, 0)
KERNEL_CASE(async_copy, 1, 0)
KERNEL_CASE(waits_for_block, 2, 0)

/* ---- cases: memory ---- */

static void host_access(bool right)
{
    cudaStream_t s = stream_on(0);
    int *p = ints_on(0);
    upload(p, numbers(), s);
    check(cudaStreamSynchronize(s));
    expect(right ? download(p, s) : std::vector<int>(p, p + N), numbers());
}

static void wrong_device(bool right)
{
    cudaStream_t s0 = stream_on(0), s1 = stream_on(1);
    int *in0 = ints_on(0), *in1 = ints_on(1), *out1 = ints_on(1);
    upload(in0, numbers(), s0), upload(in1, numbers(), s1);
    check(cudaStreamSynchronize(s0));
    check(gpu::launch(copy_ints, 1, N, 0, s1, right ? in1 : in0, out1));
    expect(download(out1, s1), numbers());
}

static void kernel_reads_host(bool right)
{
    cudaStream_t s = stream_on(0);
    std::vector<int> host = numbers();
    int *in = ints_on(0), *out = ints_on(0);
    upload(in, host, s);
    check(gpu::launch(copy_ints, 1, N, 0, s, right ? in : host.data(), out));
    expect(download(out, s), numbers());
}

static void used_after_free(bool right)
{
    cudaStream_t s = stream_on(0);
    int *in = ints_on(0), *out = ints_on(0);
    upload(in, numbers(), s);
    if (!right) check(cudaFree(in));
    check(gpu::launch(copy_ints, 1, N, 0, s, in, out));
    expect(download(out, s), numbers());
}

static void copy_past_the_end(bool right)
{
    cudaStream_t s = stream_on(0);
    int *p = ints_on(0);
    upload(right ? p : p + 1, numbers(), s);
    expect(download(p, s), numbers());
}

/* Scratch: an object cut out of an allocation. */
static void past_a_piece(bool right)
{
    cudaStream_t s = stream_on(0);
    int *in = ints_on(0, 4 * N), *out = ints_on(0);
    check(simt::piece(in, N * sizeof(int), s));
    check(simt::piece(in + 2 * N, N * sizeof(int), s));
    upload(in, numbers(), s);
    check(gpu::launch(past_the_end<false>, 1, right ? N - 1 : N, 0, s, in, out));
    (void)download(out, s);
}

static void constants_per_device(bool)
{
    cudaStream_t s[2] = { stream_on(0), stream_on(1) };
    int *in[2] = { ints_on(0), ints_on(1) }, *out[2] = { ints_on(0), ints_on(1) };
    std::vector<int> want[2] = { numbers(), numbers() };
    for (int d = 0; d < 2; d++) {
        int f = 3 + d;
        check(cudaSetDevice(d));
        check(cudaMemcpyToSymbolAsync(factor, &f, sizeof f, sizeof f, cudaMemcpyHostToDevice, s[d]));
        upload(in[d], numbers(), s[d]);
        for (int &x : want[d]) x *= f;
    }
    for (int d = 0; d < 2; d++) {
        check(cudaSetDevice(d));
        check(gpu::launch(times_factor, 1, N, 0, s[d], in[d], out[d]));
        expect(download(out[d], s[d]), want[d]);
    }
}

static void out_of_memory(bool right)
{
    setenv("SLUICE_SIMT_FAIL_MALLOC", right ? "3" : "2", 1);
    ints_on(0), ints_on(0);
}

static void too_large(bool right) { ints_on(0, right ? 1 << 20 : 1 << 30); }

/* ---- cases: streams ---- */

static void missing_event_wait(bool right)
{
    cudaStream_t a = stream_on(0), b = stream_on(0);
    int *in = ints_on(0), *middle = ints_on(0), *out = ints_on(0);
    cudaEvent_t written;
    check(cudaEventCreateWithFlags(&written, cudaEventDisableTiming));
    upload(in, numbers(), a);
    check(gpu::launch(copy_ints, 1, N, 0, a, in, middle));
    check(cudaEventRecord(written, a));
    if (right) check(cudaStreamWaitEvent(b, written, 0));
    check(gpu::launch(copy_ints, 1, N, 0, b, middle, out));
    expect(download(out, b), numbers());
    check(cudaEventDestroy(written));
    check(cudaStreamDestroy(a)), check(cudaStreamDestroy(b));
}

static void missing_wait_between_devices(bool right)
{
    cudaStream_t s0 = stream_on(0), s1 = stream_on(1);
    int *p0 = ints_on(0), *p1 = ints_on(1);
    cudaEvent_t written;
    check(cudaSetDevice(0));
    check(cudaEventCreateWithFlags(&written, cudaEventDisableTiming));
    upload(p0, numbers(), s0);
    check(cudaEventRecord(written, s0));
    if (right) check(cudaStreamWaitEvent(s1, written, 0));
    check(cudaMemcpyAsync(p1, p0, N * sizeof(int), cudaMemcpyDefault, s1));
    expect(download(p1, s1), numbers());
}

static void event_never_recorded(bool right)
{
    cudaStream_t s = stream_on(0);
    cudaEvent_t e;
    check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    if (right) check(cudaEventRecord(e, s));
    check(cudaStreamWaitEvent(s, e, 0));
    check(cudaStreamSynchronize(s));
}

static void event_of_another_device(bool right)
{
    cudaStream_t s = stream_on(0);
    cudaEvent_t e;
    check(cudaSetDevice(right ? 0 : 1));
    check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    check(cudaEventRecord(e, s));
    check(cudaStreamSynchronize(s));
}

static void default_stream(bool right)
{
    cudaStream_t s = stream_on(0);
    int *p = ints_on(0);
    check(cudaMemsetAsync(p, 0, N * sizeof(int), right ? s : nullptr));
    expect(download(p, s), std::vector<int>(N));
}

static void another_devices_stream(bool right)
{
    cudaStream_t s = stream_on(0);
    int *in = ints_on(0), *out = ints_on(0);
    upload(in, numbers(), s);
    check(cudaSetDevice(right ? 0 : 1));
    check(gpu::launch(copy_ints, 1, N, 0, s, in, out));
    expect(download(out, s), numbers());
}

static void pinned_read_too_early(bool right)
{
    cudaStream_t s = stream_on(0);
    int *in = ints_on(0);
    static int host[N];
    check(cudaHostRegister(host, sizeof host, cudaHostRegisterPortable));
    upload(in, numbers(), s);
    check(cudaMemcpyAsync(host, in, sizeof host, cudaMemcpyDeviceToHost, s));
    if (right)
        while (cudaStreamQuery(s) == cudaErrorNotReady) {}
    expect(std::vector<int>(host, host + N), numbers());
    check(cudaHostUnregister(host));
}

static void pinned_written_too_early(bool right)
{
    cudaStream_t s = stream_on(0);
    int *in = ints_on(0);
    static int host[N];
    memcpy(host, numbers().data(), sizeof host);
    check(cudaHostRegister(host, sizeof host, cudaHostRegisterPortable));
    check(cudaMemcpyAsync(in, host, sizeof host, cudaMemcpyDefault, s));
    if (right) check(cudaStreamSynchronize(s));
    memset(host, 0, sizeof host);
    expect(download(in, s), numbers());
    check(cudaHostUnregister(host));
}

static void wrong_kind(bool right)
{
    cudaStream_t s = stream_on(0);
    int *p = ints_on(0), host[N];
    check(cudaMemcpyAsync(host, p, sizeof host, right ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice, s));
}

static void unallowed_shared(bool right)
{
    if (right) check(cudaFuncSetAttribute(past_shared<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 60000));
    expect(kernel_result(past_shared<true>, 1, 60000), numbers());
}

static void failing_device(bool right)
{
    setenv("SLUICE_SIMT_FAIL_LAUNCH", right ? "1:1" : "0:2", 1);
    expect(kernel_result(copy_ints, 1), numbers());
    expect(kernel_result(copy_ints, 1), numbers());
}

/* Work given to a stream from the host side, as emulated libraries do, in its order and with its device's memory. */
static void library_work(bool right)
{
    cudaStream_t s = stream_on(0), other = stream_on(0);
    int *p = ints_on(0);
    upload(p, numbers(), s);
    check(simt::enqueue(right ? s : other, [=] {
        for (int i = 0; i < N; i++) p[i]++;
    }));
    std::vector<int> want = numbers();
    for (int &x : want) x++;
    expect(download(p, s), want);
}

/* ---- the list ---- */

static const struct fault {
    const char *name;
    void (*run)(bool right);
    const char *plain, *traced; /* what the fault's report must contain; NULL: this build cannot find it */
} faults[] = {
    { "missing barrier", neighbour_case, "wrong result", "race in shared memory" },
    { "missing second barrier", reused_buffer_case, "wrong result", "race in shared memory" },
    { "missing warp barrier", warp_exchange_case, "wrong result", "race in shared memory" },
    { "counter without atomics", counter_case, nullptr, "race in shared memory" },
    { "stencil in place", in_place_case, "wrong result", "race in global memory" },
    { "order of blocks", block_order_case, "wrong result", "of another block wrote at faults.cu" },
    { "barrier in a branch", barrier_in_branch_case, "divergent barrier: __syncthreads at faults.cu", "" },
    { "barriers of unequal number", barrier_count_case, "divergent barrier: __syncthreads at faults.cu", "" },
    { "a lane of the mask absent", absent_lane_case, "__shfl_xor_sync at faults.cu", "" },
    { "shuffle from an inactive lane", inactive_source_case, "wrong result", "" },
    { "read past the end", past_the_end_case, "of the kernel at faults.cu", "out of bounds: a read of 4 bytes" },
    { "write past shared memory", past_shared_case, nullptr, "outside of device and shared memory, at faults.cu" },
    { "shared memory never cleared", never_cleared_case, "wrong result", "" },
    { "misaligned vector", misaligned_case, "a misaligned vector", "misaligned read of 16 bytes" },
    { "cp.async not waited for", async_copy_case, "wrong result", "race in shared memory" },
    { "a block waits for another", waits_for_block_case, "or for another block", "" },
    { "host touches device memory", host_access, "host code touches byte 0 of 1024 that cuda:0 allocated", "" },
    { "pointer of another device", wrong_device, "that cuda:0 allocated", "that cuda:0 allocated" },
    { "kernel reads host memory", kernel_reads_host, nullptr,
      "a read of 4 bytes outside of device and shared memory, at faults.cu" },
    { "memory used after its release", used_after_free, "where cuda:0 has nothing allocated", "" },
    { "copy past the end", copy_past_the_end, "a copy to of 1024 bytes at byte 4 of the 1024", "" },
    { "read past a piece", past_a_piece, nullptr, "out of bounds: a read of 4 bytes at byte 1024 of 1024" },
    { "constants of each device", constants_per_device, nullptr, nullptr },
    { "out of memory", out_of_memory, "out of memory, as SLUICE_SIMT_FAIL_MALLOC asks", "" },
    { "more memory than there is", too_large, "out of memory: 4294967296 bytes beside 0 in use of 67108864", "" },
    { "missing event wait", missing_event_wait, "wrong result", "" },
    { "missing wait between devices", missing_wait_between_devices, "wrong result", "" },
    { "event never recorded", event_never_recorded, "an event never recorded", "" },
    { "event of another device", event_of_another_device, "an event of cuda:1 recorded on a stream of cuda:0", "" },
    { "default stream", default_stream, "cudaMemsetAsync on the default stream", "" },
    { "stream of another device", another_devices_stream, "stream of cuda:0 while cuda:1 is current", "" },
    { "result read too early", pinned_read_too_early, "wrong result", "" },
    { "source written too early", pinned_written_too_early, "wrong result", "" },
    { "wrong kind of copy", wrong_kind, "goes from device to host memory", "" },
    { "shared memory not asked for", unallowed_shared, "without cudaFuncSetAttribute", "" },
    { "device that fails", failing_device, "the device fails, as SLUICE_SIMT_FAIL_LAUNCH asks", "" },
    { "library work unordered", library_work, "wrong result", "" },
};

static const char *const schedules[] = {
    "host", "late", "stream:0", "stream:1", "shuffle:1", "shuffle:2", "shuffle:3"
};
static const char *const orders[] = { "forward", "reverse", "random:1", "random:2" };

/* What the case prints in a process of its own, and how that ended if it was a signal. */
static std::string output_of(const fault &f, bool right, const char *schedule, const char *order)
{
    int ends[2];
    fflush(stdout);
    if (pipe(ends)) perror("pipe"), exit(2);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1), dup2(ends[1], 2), close(ends[0]);
        setenv("SLUICE_SIMT_SCHEDULE", schedule, 1), setenv("SLUICE_SIMT_ORDER", order, 1);
        f.run(right);
        exit(0);
    }
    close(ends[1]);
    std::string text;
    char piece[512];
    for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;) text.append(piece, (size_t)n);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) text += "signal " + std::to_string(WTERMSIG(status)) + "\n";
    return text;
}

static bool right_variant_works(const fault &f)
{
    bool works = true;
    for (const char *schedule : schedules)
        for (const char *order : orders) {
            std::string text = output_of(f, true, schedule, order);
            if (text.empty()) continue;
            printf("FAIL  %s: the right variant under %s, %s: %s", f.name, schedule, order, text.c_str());
            works = false;
        }
    return works;
}

static bool fault_is_found(const fault &f, const char *words, bool verbose)
{
    std::string all;
    for (const char *schedule : schedules)
        for (const char *order : orders) {
            std::string text = output_of(f, false, schedule, order);
            if (verbose && !text.empty()) printf("%s, %s: %s", schedule, order, text.c_str());
            if (!text.empty() && text.find(words) != std::string::npos && !verbose) return true;
            all += text;
        }
    if (!all.empty() && all.find(words) != std::string::npos) return true;
    printf("FAIL  %s: no run says '%s', but %s", f.name, words, all.empty() ? "nothing is said\n" : all.c_str());
    return false;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    setenv("SLUICE_SIMT_DEVICES", "2", 1), setenv("SLUICE_SIMT_MEM_MIB", "64", 1);
    for (const fault &f : faults) {
        if (argc > 1 && !strstr(f.name, argv[1])) continue;
        const char *words = traced && f.traced && *f.traced ? f.traced : f.plain;
        bool ok = right_variant_works(f);
        if (words) ok &= fault_is_found(f, words, argc > 1);
        passed += ok, failed += !ok;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
