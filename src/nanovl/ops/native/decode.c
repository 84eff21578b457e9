/* Inference on a CPU, bf16 weights, fp32 arithmetic: one new token of each of a few sequences, and
   the Mamba layers of prompts.

   With so few rows every weight is used once or a few times, so what counts is reading it from
   memory at full speed and doing little in between. Referees: F.linear, ops/norm.py, ops/conv.py,
   ops/ssd.py, ops/attention.py.

   Letters: s sequences, h heads, p head width, g groups, n state, k KV heads, e head width.
*/

#include "common.h"

#include <stdlib.h>

#if defined(__AMX_BF16__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define AMX 1
#else
#define AMX 0
#endif

/* ---- linear ------------------------------------------------------------------------------------ */

/* Whether `linear_rows` may use matrix tiles: the CPU has them and the kernel lets this process. */
int nanovl_tiles(void) {
#if AMX
    static int allowed = -1;
    if (allowed < 0) allowed = syscall(SYS_arch_prctl, 0x1023, 18) == 0; /* tile data */
    return allowed;
#else
    return 0;
#endif
}

/* Rows o to stop of w (outs, ins) times each row of x (s, ins), without tiles. */
static void dots(const bf16 *x, const bf16 *w, i64 s, i64 outs, i64 ins, i64 o, i64 stop, bf16 *y) {
    for (; o < stop; o++) {
        const bf16 *row = w + o * ins;
        for (i64 r = 0; r < s; r++) {
            const bf16 *in = x + r * ins;
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (i64 i = 0; i < ins; i++) sum += wide(row[i]) * wide(in[i]);
            y[r * outs + o] = narrow(sum);
        }
    }
}

#if AMX

typedef struct {
    uint8_t palette, start;
    uint8_t reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} Shape;

/* Eight full tiles: 16 rows of 64 bytes. The compiler must not think the stores useless. */
static void configure(void) {
    static Shape shape;
    volatile Shape *v = &shape;
    v->palette = 1;
    for (int i = 0; i < 8; i++) {
        v->bytes[i] = 64;
        v->rows[i] = 16;
    }
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&shape);
}

static void store(const float *tile, i64 s, i64 outs, i64 o, i64 first, bf16 *y) {
    i64 count = s - first < 16 ? s - first : 16;
    for (i64 r = 0; r < count; r++)
        for (i64 j = 0; j < 16; j++) y[(first + r) * outs + o + j] = narrow(tile[j * 16 + r]);
}

#define AHEAD 512 /* bytes of a weight row that are fetched early */

static inline void fetch(const bf16 *w, i64 ins) {
    for (int j = 0; j < 16; j++) _mm_prefetch((const char *)(w + j * ins) + AHEAD, _MM_HINT_T0);
}

/* 32 rows of w, up to 16 rows of x. */
static inline void block_one(const bf16 *w, const bf16 *packed, i64 ins, float *t0, float *t1) {
    _tile_zero(0);
    _tile_zero(1);
    for (i64 i = 0; i < ins; i += 32) {
        fetch(w + i, ins);
        fetch(w + 16 * ins + i, ins);
        _tile_loadd(4, packed + i * 16, 64);
        _tile_loadd(5, w + i, ins * 2);
        _tile_loadd(6, w + 16 * ins + i, ins * 2);
        _tile_dpbf16ps(0, 5, 4);
        _tile_dpbf16ps(1, 6, 4);
    }
    _tile_stored(0, t0, 64);
    _tile_stored(1, t1, 64);
}

/* 16 rows of w, up to 32 rows of x. */
static inline void block_two(const bf16 *w, const bf16 *packed, i64 ins, float *t0, float *t1) {
    _tile_zero(0);
    _tile_zero(1);
    for (i64 i = 0; i < ins; i += 32) {
        fetch(w + i, ins);
        _tile_loadd(4, packed + i * 16, 64);
        _tile_loadd(5, packed + ins * 16 + i * 16, 64);
        _tile_loadd(6, w + i, ins * 2);
        _tile_dpbf16ps(0, 6, 4);
        _tile_dpbf16ps(1, 6, 5);
    }
    _tile_stored(0, t0, 64);
    _tile_stored(1, t1, 64);
}

/* x in pairs of inputs, for 16 rows at a time: [part][input / 2][16][2]; missing rows are zero. */
static void pack(const bf16 *x, i64 s, i64 ins, bf16 *packed) {
    i64 parts = (s + 15) / 16;
    memset(packed, 0, (size_t)(parts * ins * 16) * sizeof(bf16));
    for (i64 r = 0; r < s; r++) {
        uint32_t *out = (uint32_t *)(packed + (r / 16) * ins * 16) + r % 16;
        const uint32_t *in = (const uint32_t *)(x + r * ins);
        for (i64 i = 0; i < ins / 2; i++) out[i * 16] = in[i];
    }
}

#endif

/* y (s, outs) = x (s, ins) times the rows of w (outs, ins). Each row of x gives the same result
   whatever the others are. packed: scratch of 16 * ins per 16 rows, used with tiles only, for
   which ins must be a multiple of 32. */
void linear_rows(const bf16 *x, const bf16 *w, i64 s, i64 outs, i64 ins, i64 tiles, bf16 *packed,
                 bf16 *y) {
#if AMX
    if (tiles) {
        i64 wide_block = s <= 16 ? 32 : 16, blocks = outs / wide_block;
        pack(x, s, ins, packed);
#pragma omp parallel
        {
            float t0[256] __attribute__((aligned(64))), t1[256] __attribute__((aligned(64)));
            configure();
#pragma omp for schedule(static) nowait
            for (i64 b = 0; b < blocks; b++) {
                i64 o = b * wide_block;
                if (s <= 16) {
                    block_one(w + o * ins, packed, ins, t0, t1);
                    store(t0, s, outs, o, 0, y);
                    store(t1, s, outs, o + 16, 0, y);
                } else {
                    block_two(w + o * ins, packed, ins, t0, t1);
                    store(t0, s, outs, o, 0, y);
                    store(t1, s, outs, o, 16, y);
                }
            }
            _tile_release();
        }
        dots(x, w, s, outs, ins, blocks * wide_block, outs, y);
        return;
    }
#endif
    (void)tiles;
    (void)packed;
#pragma omp parallel for schedule(static)
    for (i64 b = 0; b < (outs + 31) / 32; b++)
        dots(x, w, s, outs, ins, b * 32, b * 32 + 32 < outs ? b * 32 + 32 : outs, y);
}

/* ---- norm -------------------------------------------------------------------------------------- */

/* out = x over its root mean square, times w; s rows of width d. */
void rms_norm_rows(const bf16 *x, const bf16 *w, i64 s, i64 d, float eps, bf16 *out) {
    for (i64 r = 0; r < s; r++) {
        const bf16 *row = x + r * d;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (i64 j = 0; j < d; j++) sum += wide(row[j]) * wide(row[j]);
        float k = 1.0f / sqrtf(sum / (float)d + eps);
#pragma omp simd
        for (i64 j = 0; j < d; j++) out[r * d + j] = narrow(wide(row[j]) * k * wide(w[j]));
    }
}

/* ---- Mamba layer ------------------------------------------------------------------------------- */

/* Row `i` of the convolution's input: of the segment that begins at row `first`, or of its state. */
static inline const bf16 *conv_input(const bf16 *proj, i64 stride, const bf16 *state, i64 first,
                                     i64 i, i64 inner, i64 channels, i64 taps) {
    return i >= first ? proj + i * stride + inner : state + (taps - 1 - (first - i)) * channels;
}

/* One token of one head: state = state * fade + dt x B^T, y = state C + D x. */
static inline void state_step(float *state, const float *x, const float *B, const float *C, i64 p,
                              i64 n, float dt, float fade, float D, float *y) {
    i64 pi = 0;
    for (; pi + 4 <= p; pi += 4) { /* four rows share what they read of B and C */
        float *s0 = state + pi * n, *s1 = s0 + n, *s2 = s1 + n, *s3 = s2 + n;
        float a0 = dt * x[pi], a1 = dt * x[pi + 1], a2 = dt * x[pi + 2], a3 = dt * x[pi + 3];
        float y0 = 0.0f, y1 = 0.0f, y2 = 0.0f, y3 = 0.0f;
#pragma omp simd reduction(+ : y0, y1, y2, y3)
        for (i64 j = 0; j < n; j++) {
            float bj = B[j], cj = C[j];
            s0[j] = s0[j] * fade + a0 * bj;
            s1[j] = s1[j] * fade + a1 * bj;
            s2[j] = s2[j] * fade + a2 * bj;
            s3[j] = s3[j] * fade + a3 * bj;
            y0 += s0[j] * cj;
            y1 += s1[j] * cj;
            y2 += s2[j] * cj;
            y3 += s3[j] * cj;
        }
        y[pi] = y0 + D * x[pi];
        y[pi + 1] = y1 + D * x[pi + 1];
        y[pi + 2] = y2 + D * x[pi + 2];
        y[pi + 3] = y3 + D * x[pi + 3];
    }
    for (; pi < p; pi++) {
        float *row = state + pi * n, add = dt * x[pi], sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (i64 j = 0; j < n; j++) {
            row[j] = row[j] * fade + add * B[j];
            sum += row[j] * C[j];
        }
        y[pi] = sum + D * x[pi];
    }
}

#define ROWS_AT_ONCE 64
#define MANY_ROWS 8 /* from here on turning the state around is worth it */
#define LANES 16
#define TILE 16

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));

/* The same for `rows` tokens, `xs` and `ys` floats apart. Sixteen channels by sixteen columns of the
   state stay in registers while all tokens go by. p is a multiple of LANES, n one of TILE. */
static void state_run(float *state, const float *x, const float *B, const float *C, i64 xs, i64 p,
                      i64 n, i64 rows, const float *dt, const float *fade, float D, float *y, i64 ys) {
    for (i64 pi = 0; pi < p; pi += LANES) {
        for (i64 j = 0; j < n; j += TILE) {
            float *corner = state + pi * n + j;
            lanes s[TILE];
            for (int k = 0; k < TILE; k++)
                for (int q = 0; q < LANES; q++) s[k][q] = corner[q * n + k];
            for (i64 i = 0; i < rows; i++) {
                const float *b = B + i * xs + j, *c = C + i * xs + j;
                lanes in = *(const lanes *)(x + i * xs + pi), a = in * dt[i];
                lanes *out = (lanes *)(y + i * ys + pi);
                lanes even = j ? *out : in * D, odd = a * 0.0f;
#pragma GCC unroll 16
                for (int k = 0; k < TILE; k += 2) {
                    s[k] = s[k] * fade[i] + a * b[k];
                    s[k + 1] = s[k + 1] * fade[i] + a * b[k + 1];
                    even += s[k] * c[k];
                    odd += s[k + 1] * c[k + 1];
                }
                *out = even + odd;
            }
            for (int k = 0; k < TILE; k++)
                for (int q = 0; q < LANES; q++) corner[q * n + k] = s[k][q];
        }
    }
}

/* New tokens of some sequences: convolution, step size, state, output, gate and norm.

   Segment q is the rows border[q] to border[q + 1] and goes on in slots[q]. proj (t, stride) holds
   z (h p), x B C (channels) and dt (h) of every row; conv (slots, taps - 1, channels) and ssm
   (slots, h, p, n) are the states of all slots and are updated in place. w (taps, channels),
   b (channels) or all zero. scratch: min(t, ROWS_AT_ONCE) * (channels + h p) floats. out (t, h p).
   A head's state stays in the first cache while its tokens go by, what lies between the steps in
   the second one. */
void mamba_rows(const bf16 *proj, i64 stride, const i64 *slots, const i64 *border, i64 segments,
                bf16 *conv, float *ssm, const float *w, const float *b, const float *dt_bias,
                const float *A, const float *D, const bf16 *weight, i64 h, i64 p, i64 n, i64 g,
                i64 taps, float low, float high, float eps, float *scratch, bf16 *out) {
    i64 inner = h * p, channels = inner + 2 * g * n, r = h / g, width = inner / g;
    i64 t = border[segments], room = t < ROWS_AT_ONCE ? t : ROWS_AT_ONCE;
    float *mixed = scratch, *made = scratch + room * channels;
    i64 blocks = (channels + 511) / 512;
#pragma omp parallel
    for (i64 t0 = 0, q0 = 0; t0 < t; t0 += ROWS_AT_ONCE) {
        i64 t1 = t0 + room < t ? t0 + room : t, q1 = q0;
        while (border[q0 + 1] <= t0) q0++; /* segments of these rows */
        for (q1 = q0; q1 < segments && border[q1] < t1;) q1++;
        /* By blocks of channels, so that a state is read before the same thread replaces it. */
#pragma omp for schedule(static)
        for (i64 task = q0 * blocks; task < q1 * blocks; task++) {
            i64 q = task / blocks, j0 = (task % blocks) * 512;
            i64 j1 = j0 + 512 < channels ? j0 + 512 : channels;
            i64 first = border[q], stop = border[q + 1];
            bf16 *state = conv + slots[q] * (taps - 1) * channels;
            for (i64 i = first > t0 ? first : t0; i < stop && i < t1; i++) {
                float *sum = mixed + (i - t0) * channels;
                if (taps == 4) { /* one pass; the order of the sums is that of any number */
                    const bf16 *in[4];
                    for (i64 k = 0; k < 4; k++)
                        in[k] = conv_input(proj, stride, state, first, i - 3 + k, inner, channels, 4);
                    const bf16 *in0 = in[0], *in1 = in[1], *in2 = in[2], *in3 = in[3];
                    const float *w1 = w + channels, *w2 = w1 + channels, *w3 = w2 + channels;
#pragma omp simd
                    for (i64 j = j0; j < j1; j++) {
                        float v = b[j] + w[j] * wide(in0[j]);
                        v += w1[j] * wide(in1[j]);
                        v += w2[j] * wide(in2[j]);
                        v += w3[j] * wide(in3[j]);
                        sum[j] = v * sigmoid(v);
                    }
                    continue;
                }
                memcpy(sum + j0, b + j0, (size_t)(j1 - j0) * sizeof(float));
                for (i64 k = 0; k < taps; k++) {
                    const bf16 *in = conv_input(proj, stride, state, first, i - (taps - 1) + k,
                                                inner, channels, taps);
                    const float *tap = w + k * channels;
#pragma omp simd
                    for (i64 j = j0; j < j1; j++) sum[j] += tap[j] * wide(in[j]);
                }
#pragma omp simd
                for (i64 j = j0; j < j1; j++) sum[j] *= sigmoid(sum[j]);
            }
            if (stop > t1) continue;
            /* Rising, because what is moved lies behind where it goes. */
            for (i64 k = 0; k < taps - 1; k++) {
                const bf16 *in = conv_input(proj, stride, state, first, stop - (taps - 1) + k,
                                            inner, channels, taps);
                memmove(state + k * channels + j0, in + j0, (size_t)(j1 - j0) * sizeof(bf16));
            }
        }
#pragma omp for schedule(static)
        for (i64 task = q0 * h; task < q1 * h; task++) {
            i64 q = task / h, hi = task % h, gi = hi / r;
            i64 begin = border[q] > t0 ? border[q] : t0, stop = border[q + 1] < t1 ? border[q + 1] : t1;
            float *state = ssm + (slots[q] * h + hi) * p * n;
            const float *x = mixed + (begin - t0) * channels + hi * p;
            const float *B = mixed + (begin - t0) * channels + inner + gi * n, *C = B + g * n;
            float *y = made + (begin - t0) * inner + hi * p;
            float dt[ROWS_AT_ONCE], fade[ROWS_AT_ONCE];
            for (i64 i = begin; i < stop; i++) {
                float raw = wide(proj[i * stride + inner + channels + hi]) + dt_bias[hi];
                float step = raw > 20.0f ? raw : log1pf(expf(raw));
                step = step < low ? low : step > high ? high : step;
                dt[i - begin] = step;
                fade[i - begin] = expf(step * A[hi]);
            }
            i64 rows = stop - begin;
            if (rows >= MANY_ROWS && p % LANES == 0 && n % TILE == 0) {
                state_run(state, x, B, C, channels, p, n, rows, dt, fade, D[hi], y, inner);
                continue;
            }
            for (i64 i = 0; i < rows; i++)
                state_step(state, x + i * channels, B + i * channels, C + i * channels, p, n, dt[i],
                           fade[i], D[hi], y + i * inner);
        }
#pragma omp for schedule(static)
        for (i64 task = t0 * g; task < t1 * g; task++) {
            i64 row = task / g, j0 = (task % g) * width;
            const bf16 *z = proj + row * stride;
            float *y = made + (row - t0) * inner, sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (i64 j = j0; j < j0 + width; j++) {
                float gate = wide(z[j]);
                float v = y[j] * gate * sigmoid(gate);
                y[j] = v;
                sum += v * v;
            }
            float k = 1.0f / sqrtf(sum / (float)width + eps);
#pragma omp simd
            for (i64 j = j0; j < j0 + width; j++)
                out[row * inner + j] = narrow(y[j] * k * wide(weight[j]));
        }
    }
}

/* ---- attention --------------------------------------------------------------------------------- */

/* Each row's query against all keys of its sequence, its own included, which are stored first.

   q (s, h, e), new_k and new_v (s, k, e); kv (2, k, size, e) is one layer's memory. The tokens of
   row i lie in runs[border[i]] to runs[border[i + 1]], pairs of first token and count; the new one
   is the last of them. scratch: threads * longest * (h / k) floats. out (s, h, e). */
void attend_step(const bf16 *q, const bf16 *new_k, const bf16 *new_v, bf16 *kv, i64 size,
                 const i64 *runs, const i64 *border, i64 s, i64 h, i64 k, i64 e, i64 longest,
                 float *scratch, bf16 *out) {
    i64 r = h / k;
    float scale = 1.0f / sqrtf((float)e);
    i64 work = s * h * longest * e;
#pragma omp parallel for schedule(dynamic, 1) LARGE(work)
    for (i64 task = 0; task < s * k; task++) {
        i64 row = task / k, ki = task % k;
        bf16 *keys = kv + ki * size * e, *values = kv + (k + ki) * size * e;
        i64 last = border[row + 1] - 1, end = runs[2 * last] + runs[2 * last + 1] - 1;
        memcpy(keys + end * e, new_k + (row * k + ki) * e, (size_t)e * sizeof(bf16));
        memcpy(values + end * e, new_v + (row * k + ki) * e, (size_t)e * sizeof(bf16));
        float *score = scratch + (i64)thread() * longest * r;
        float sum[64], acc[512];
        i64 total = 0;
        for (i64 i = border[row]; i < border[row + 1]; i++)
            for (i64 t = runs[2 * i]; t < runs[2 * i] + runs[2 * i + 1]; t++, total++)
                for (i64 ri = 0; ri < r; ri++) {
                    const bf16 *query = q + (row * h + ki * r + ri) * e, *key = keys + t * e;
                    float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
                    for (i64 j = 0; j < e; j++) dot += wide(query[j]) * wide(key[j]);
                    score[ri * longest + total] = dot * scale;
                }
        for (i64 ri = 0; ri < r; ri++) {
            float *own = score + ri * longest, top = own[0];
            for (i64 t = 1; t < total; t++) top = own[t] > top ? own[t] : top;
            sum[ri] = 0.0f;
            float all = 0.0f;
#pragma omp simd reduction(+ : all)
            for (i64 t = 0; t < total; t++) {
                own[t] = expo(own[t] - top);
                all += own[t];
            }
            sum[ri] = all;
        }
        for (i64 ri = 0; ri < r; ri++) {
            const float *own = score + ri * longest;
            for (i64 j = 0; j < e; j++) acc[j] = 0.0f;
            i64 at = 0;
            for (i64 i = border[row]; i < border[row + 1]; i++)
                for (i64 t = runs[2 * i]; t < runs[2 * i] + runs[2 * i + 1]; t++, at++) {
                    const bf16 *value = values + t * e;
                    float weight = own[at];
#pragma omp simd
                    for (i64 j = 0; j < e; j++) acc[j] += weight * wide(value[j]);
                }
            float norm = 1.0f / sum[ri];
            bf16 *target = out + (row * h + ki * r + ri) * e;
            for (i64 j = 0; j < e; j++) target[j] = narrow(acc[j] * norm);
        }
    }
}
