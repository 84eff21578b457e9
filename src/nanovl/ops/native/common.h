/* What the kernels share: bf16, exp, threads. */

#ifndef NANOVL_COMMON_H
#define NANOVL_COMMON_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef uint16_t bf16;
typedef int64_t i64;

/* Work (elements) below which waking another thread costs more than it brings. */
#define LARGE(work) if ((work) > 32768)

#define LOWEST -60.0f /* exponents; keeps products out of the denormal range */

static inline float wide(bf16 v) {
    union { uint32_t u; float f; } x;
    x.u = (uint32_t)v << 16;
    return x.f;
}

/* Round to nearest even. NaN as arithmetic makes it stays NaN. */
static inline bf16 narrow(float v) {
    union { uint32_t u; float f; } x;
    x.f = v;
    return (bf16)((x.u + 0x7fffu + ((x.u >> 16) & 1u)) >> 16);
}

/* exp with relative error below 4e-6 (a bf16 keeps 4e-3) in [-87, 88]; NaN stays NaN. */
static inline float expo(float x) {
    float y = x * 1.44269504088896341f; /* 2^y, y = k + f */
    y = y < -126.0f ? -126.0f : y;
    y = y > 127.0f ? 127.0f : y;
    float k = __builtin_rintf(y), f = y - k;
    float q = 9.66637e-3f; /* through the Chebyshev nodes of [-1/2, 1/2] */
    q = q * f + 5.592198e-2f;
    q = q * f + 2.4022349e-1f;
    q = q * f + 6.9312105e-1f;
    q = q * f + 1.0f;
    union { int32_t i; float f; } s;
    s.i = ((int32_t)k + 127) << 23;
    return q * s.f;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + expo(-x)); }

static inline float decay(float x) { return expo(x < LOWEST ? LOWEST : x); }

static inline int thread(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

#endif
