/* sass_planted.cu - kernels whose claims hold, and kernels whose claims do not: sass_unit.py expects each failure. */

enum { WIDTH = 256 };

/* Sixteen chains of fma per 16-byte load. */
template <class T> __device__ void chains(const float4 *x, T *out, int n)
{
    T acc[16] = {};
    for (int i = threadIdx.x; i < n; i += WIDTH) {
        float4 v = x[i];
#pragma unroll
        for (int j = 0; j < 16; j++)
            acc[j] = fmaf(v.x, v.y, fmaf(v.z, v.w, fmaf(v.y, v.z, fmaf(v.w, acc[j], fmaf(v.z, v.x, acc[j])))));
    }
#pragma unroll
    for (int j = 0; j < 16; j++) out[j * WIDTH + threadIdx.x] = acc[j];
}

/* sass: kernel=honest<float registers<=64 shared<=0 local=0 ffma>=70% ldg128 */
template <class T, int N> __global__ void honest(const float4 *x, T *out, int n) { chains(x, out, n * N); }
template __global__ void honest<float, 2>(const float4 *, float *, int);

/* sass: kernel=greedy registers<=8 */
__global__ void greedy(const float4 *x, float *out, int n) { chains(x, out, n); }

/* An array indexed at run time lies in local memory. */
/* sass: kernel=spilled local=0 */
__global__ void spilled(const float *x, const int *at, float *out)
{
    float kept[64];
    for (int i = 0; i < 64; i++) kept[i] = x[i];
    for (int i = 0; i < 64; i++) kept[at[i] & 63] += x[i];
    for (int i = 0; i < 64; i++) out[i] = kept[at[i] & 63];
}

/* sass: kernel=roomy shared<=1023 */
__global__ void roomy(const float *x, float *out)
{
    __shared__ float part[WIDTH];
    part[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = part[WIDTH - 1 - threadIdx.x];
}

/* sass: kernel=narrow ffma>=70%
 * ldg128 hmma */
__global__ void narrow(const float *x, float *out, int n)
{
    float acc = 0;
#pragma unroll 1
    for (int i = threadIdx.x; i < n; i += WIDTH) acc = fmaf(x[i], x[i], acc);
    out[threadIdx.x] = acc;
}

/* sass: kernel=absent local=0 */
