/* mma.h - the tensor cores for --math fast: matrix fragments, products, the conversions they need.  Beside gpu.h the only
 * header that knows whether nvcc or the emulator's g++ compiles it.
 *
 * A warp multiplies A [16, K] by B [K, 8] into D [16, 8] f32.  Lane 4 g + t holds (PTX ISA, "Matrix fragments for mma")
 *
 *     A   word r: row g + 8 (r % 2)      K of 16 bits, two a word: k = 2 t + 8 (r / 2), + 1       tf32: k = t + 4 (r / 2)
 *     B   word r: column g                                        k = 2 t + 8 r, + 1                     k = t + 4 r
 *     D   word r: row g + 8 (r / 2), column 2 t + r % 2
 *
 * K = 16 for f16 and bf16, 8 for tf32: 32 bytes of a row either way, so that fragments of all types are loaded alike.
 *
 * Products are exact.  How a multiplication sums them is not specified; Fasi, Higham, Mikaitis and Pranesh (PeerJ CS 7,
 * 2021) found aligned addends cut to at least 24 bits and results cut, not rounded.  The emulator sums in double and
 * cuts. */
#ifndef MMA_H
#define MMA_H

#include "exact.h"
#include "gpu.h"

#ifdef SLUICE_SIMT

namespace mma_emulated {

struct f16 {
    enum { PER_WORD = 2 };
    static float value(uint32_t word, int i) { return ex_f16_to_f32((uint16_t)(word >> 16 * i)); }
};
struct bf16 {
    enum { PER_WORD = 2 };
    static float value(uint32_t word, int i) { return ex_bf16_to_f32((uint16_t)(word >> 16 * i)); }
};
struct tf32 {
    enum { PER_WORD = 1 };
    static float value(uint32_t word, int) { return ex_float(word & 0xffffe000u); } /* the low 13 bits are ignored */
};

inline float cut(double x)
{
    float f = (float)x;
    return std::isfinite(f) && std::fabs((double)f) > std::fabs(x) ? std::nextafterf(f, 0.0f) : f;
}

struct product {
    float *d;
    const uint32_t *a, *b;
};

/* One multiplication by all lanes, T one of the above. */
template <class T> void multiply(void **lanes, uint32_t active)
{
    enum { K = 8 * T::PER_WORD };
    float a[16][K], b[K][8];
    if (active != ~0u) simt::fail("mma.sync with lanes missing (%08x)", active);
    for (int lane = 0; lane < 32; lane++) {
        const product *p = static_cast<product *>(lanes[lane]);
        int g = lane / 4, k0 = lane % 4 * T::PER_WORD;
        for (int i = 0; i < T::PER_WORD; i++) {
            for (int r = 0; r < 4; r++) a[g + r % 2 * 8][k0 + r / 2 * (K / 2) + i] = T::value(p->a[r], i);
            for (int r = 0; r < 2; r++) b[k0 + r * (K / 2) + i][g] = T::value(p->b[r], i);
        }
    }
    for (int lane = 0; lane < 32; lane++)
        for (int r = 0; r < 4; r++) {
            float *d = static_cast<product *>(lanes[lane])->d + r;
            int row = lane / 4 + r / 2 * 8, column = lane % 4 * 2 + r % 2;
            double sum = (double)*d;
            for (int k = 0; k < K; k++) sum += (double)a[row][k] * (double)b[k][column];
            *d = cut(sum);
        }
    simt::stats.mmas++;
}

struct load {
    uint32_t *words;
    const void *row;
};

/* Lane 8 i + r names row r, 16 bytes, of matrix i; lane l gets word l % 4 of row l / 4 of each. */
inline void load_matrices(void **lanes, uint32_t active)
{
    if (active != ~0u) simt::fail("ldmatrix with lanes missing (%08x)", active);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            const char *row = static_cast<const char *>(static_cast<load *>(lanes[8 * i + lane / 4])->row);
            if ((uintptr_t)row % 16) simt::fail("ldmatrix: a row at %p is not aligned", (const void *)row);
            memcpy(&static_cast<load *>(lanes[lane])->words[i], row + lane % 4 * 4, 4);
        }
}

} // namespace mma_emulated

#endif

namespace gpu {

/* Four 8 x 16-byte matrices; row: in shared memory, aligned, lane 8 i + r names row r of matrix i. */
__device__ __forceinline__ void load_matrices(uint32_t (&words)[4], const void *row)
{
#ifdef SLUICE_SIMT
    mma_emulated::load io{ words, row };
    simt::warp_op(~0u, &io, mma_emulated::load_matrices, "ldmatrix", __FILE__, __LINE__);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
#endif
}

/* d += a b */
#ifdef SLUICE_SIMT
#define GPU_MULTIPLY(name, shape)                                                                                      \
    inline void multiply_##name(float(&d)[4], const uint32_t(&a)[4], const uint32_t *b)                                \
    {                                                                                                                  \
        mma_emulated::product io{ d, a, b };                                                                           \
        simt::warp_op(~0u, &io, mma_emulated::multiply<mma_emulated::name>, "mma." #name, __FILE__, __LINE__);         \
    }
#else
#define GPU_MULTIPLY(name, shape)                                                                                      \
    __device__ __forceinline__ void multiply_##name(float(&d)[4], const uint32_t(&a)[4], const uint32_t *b)            \
    {                                                                                                                  \
        asm("mma.sync.aligned." shape ".row.col.f32." #name "." #name ".f32 "                                          \
            "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                                    \
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                           \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                       \
    }
#endif
GPU_MULTIPLY(f16, "m16n8k16")
GPU_MULTIPLY(bf16, "m16n8k16")
GPU_MULTIPLY(tf32, "m16n8k8")
#undef GPU_MULTIPLY

/* The bits of x rounded to 11 significant bits, ties away from zero; NaN stays NaN. */
__device__ __forceinline__ uint32_t to_tf32(float x)
{
#ifdef SLUICE_SIMT
    return ex_finite(x) ? (ex_bits(x) + 0x1000u) & 0xffffe000u : ex_bits(x) | (x != x ? 0x400000u : 0u);
#else
    uint32_t u;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
    return u;
#endif
}

/* Both halves of a, as f16, minus those of b. */
__device__ __forceinline__ uint32_t subtract_f16x2(uint32_t a, uint32_t b)
{
#ifdef SLUICE_SIMT
    uint32_t low = ex_f32_to_f16(ex_f16_to_f32((uint16_t)a) - ex_f16_to_f32((uint16_t)b));
    uint32_t high = ex_f32_to_f16(ex_f16_to_f32((uint16_t)(a >> 16)) - ex_f16_to_f32((uint16_t)(b >> 16)));
    return low | high << 16;
#else
    uint32_t d;
    asm("sub.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
#endif
}

/* 2^x to a relative error of 2^-22, 0 below 2^-126. */
__device__ __forceinline__ float exp2_fast(float x)
{
#ifdef SLUICE_SIMT
    float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y;
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

} // namespace gpu

#endif
