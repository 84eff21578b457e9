/* Elementwise parts of bf16 training on a CPU, fused so that every tensor is read and written once.

   Matrix products stay with PyTorch; what stands between them is here. Arrays are bf16 (stored as
   uint16) or fp32, arithmetic is fp32. Every function has a referee in plain PyTorch; the formulas
   are explained there and in the Python files that call these.

   Letters: t tokens, c chunks of l tokens, h heads, p head width, g groups, r = h / g, n state.
   Layouts: "chl" is [c][h][l], and so on. first[i] is the token where the segment of token i begins.
*/

#include "common.h"

int nanovl_threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

/* Ends the calling thread's team of workers; the next parallel region makes a new one. OpenMP lets
   workers sleep at once when there are more of them than processors, over all teams. */
int nanovl_release(void) {
#if defined(_OPENMP) && (_OPENMP >= 201811 || (__GNUC__ >= 9 && !defined(__clang__)))
    return omp_pause_resource_all(omp_pause_hard);
#else
    return -1;
#endif
}

/* ---- causal convolution and SiLU, written where the scan wants it -------------------------- */

/* Convolution of token i before the activation, all channels. x rows are `stride` apart. */
static inline void conv_row(const bf16 *x, i64 stride, const float *w, const float *b, i64 i,
                            i64 first, i64 channels, i64 taps, float *out) {
    memcpy(out, b, (size_t)channels * sizeof(float));
    for (i64 k = 0; k < taps; k++) {
        i64 source = i - (taps - 1) + k;
        if (source < first) continue;
        const bf16 *row = x + source * stride;
        const float *tap = w + k * channels;
#pragma omp simd
        for (i64 j = 0; j < channels; j++) out[j] += tap[j] * wide(row[j]);
    }
}

/* X chlp, B cgln, C cgln from x (t, channels). Rows from t on are zero. */
void conv_forward(const bf16 *x, i64 stride, const float *w, const float *b, const int32_t *first,
                  i64 t, i64 c, i64 l, i64 h, i64 p, i64 g, i64 n, i64 taps, float *scratch,
                  bf16 *X, bf16 *B, bf16 *C) {
    i64 inner = h * p, bc = g * n, channels = inner + 2 * bc;
#pragma omp parallel for schedule(static) LARGE(c * l * channels)
    for (i64 ci = 0; ci < c; ci++) {
        float *row = scratch + (i64)thread() * channels;
        for (i64 li = 0; li < l; li++) {
            i64 i = ci * l + li;
            if (i < t) {
                conv_row(x, stride, w, b, i, first[i], channels, taps, row);
#pragma omp simd
                for (i64 j = 0; j < channels; j++) row[j] = row[j] * sigmoid(row[j]);
            } else {
                memset(row, 0, (size_t)channels * sizeof(float));
            }
            for (i64 hi = 0; hi < h; hi++) {
                bf16 *out = X + ((ci * h + hi) * l + li) * p;
                const float *in = row + hi * p;
#pragma omp simd
                for (i64 j = 0; j < p; j++) out[j] = narrow(in[j]);
            }
            for (i64 gi = 0; gi < g; gi++) {
                bf16 *outb = B + ((ci * g + gi) * l + li) * n;
                bf16 *outc = C + ((ci * g + gi) * l + li) * n;
                const float *inb = row + inner + gi * n;
                const float *inc = row + inner + bc + gi * n;
#pragma omp simd
                for (i64 j = 0; j < n; j++) outb[j] = narrow(inb[j]);
#pragma omp simd
                for (i64 j = 0; j < n; j++) outc[j] = narrow(inc[j]);
            }
        }
    }
}

/* Gradients of x, w and b. dX chlp; dB and dC come as two parts each, cgln. pre is (t, channels)
   fp32 scratch; dw (threads, taps, channels) and db (threads, channels) are summed by the caller. */
void conv_backward(const bf16 *x, i64 stride, const float *w, const float *b, const int32_t *first,
                   const bf16 *dX, const bf16 *dB1, const bf16 *dB2, const bf16 *dC1,
                   const bf16 *dC2, i64 t, i64 l, i64 h, i64 p, i64 g, i64 n, i64 taps, float *pre,
                   bf16 *dx, i64 dstride, float *dw, float *db) {
    i64 inner = h * p, bc = g * n, channels = inner + 2 * bc;
#pragma omp parallel LARGE(t * channels)
    {
        float *own_w = dw + (i64)thread() * taps * channels;
        float *own_b = db + (i64)thread() * channels;
        memset(own_w, 0, (size_t)(taps * channels) * sizeof(float));
        memset(own_b, 0, (size_t)channels * sizeof(float));
#pragma omp for schedule(static)
        for (i64 i = 0; i < t; i++) {
            float *row = pre + i * channels;
            i64 ci = i / l, li = i % l;
            conv_row(x, stride, w, b, i, first[i], channels, taps, row);
#pragma omp simd
            for (i64 j = 0; j < channels; j++) { /* derivative of SiLU */
                float s = sigmoid(row[j]);
                row[j] = s * (1.0f + row[j] * (1.0f - s));
            }
            for (i64 hi = 0; hi < h; hi++) {
                const bf16 *in = dX + ((ci * h + hi) * l + li) * p;
                float *out = row + hi * p;
#pragma omp simd
                for (i64 j = 0; j < p; j++) out[j] *= wide(in[j]);
            }
            for (i64 gi = 0; gi < g; gi++) {
                i64 at = ((ci * g + gi) * l + li) * n;
                float *outb = row + inner + gi * n;
                float *outc = row + inner + bc + gi * n;
#pragma omp simd
                for (i64 j = 0; j < n; j++) outb[j] *= wide(dB1[at + j]) + wide(dB2[at + j]);
#pragma omp simd
                for (i64 j = 0; j < n; j++) outc[j] *= wide(dC1[at + j]) + wide(dC2[at + j]);
            }
#pragma omp simd
            for (i64 j = 0; j < channels; j++) own_b[j] += row[j];
            for (i64 k = 0; k < taps; k++) {
                i64 source = i - (taps - 1) + k;
                if (source < first[i]) continue;
                const bf16 *in = x + source * stride;
                float *sum = own_w + k * channels;
#pragma omp simd
                for (i64 j = 0; j < channels; j++) sum[j] += row[j] * wide(in[j]);
            }
        }
#pragma omp for schedule(static)
        for (i64 i = 0; i < t; i++) {
            bf16 *out = dx + i * dstride;
            const float *taken[16];
            const float *weight[16];
            i64 count = 0;
            for (i64 k = 0; k < taps; k++) {
                i64 target = i + (taps - 1) - k;
                if (target >= t || first[target] > i) continue;
                taken[count] = pre + target * channels;
                weight[count++] = w + k * channels;
            }
            for (i64 j0 = 0; j0 < channels; j0 += 64) {
                i64 width = channels - j0 < 64 ? channels - j0 : 64;
                float sum[64] = {0};
                for (i64 k = 0; k < count; k++) {
                    const float *a = taken[k] + j0, *v = weight[k] + j0;
#pragma omp simd
                    for (i64 j = 0; j < width; j++) sum[j] += a[j] * v[j];
                }
#pragma omp simd
                for (i64 j = 0; j < width; j++) out[j0 + j] = narrow(sum[j]);
            }
        }
    }
}

/* ---- step sizes and decays -------------------------------------------------------------------- */

/* dt chl = softplus(raw + bias), clamped; s chl = cumulative sum of dt * A inside the chunk. */
void step_forward(const bf16 *raw, i64 stride, const float *bias, const float *A, i64 t, i64 c,
                  i64 l, i64 h, float low, float high, float *dt, float *s) {
#pragma omp parallel for schedule(static) LARGE(c * l * h * 8)
    for (i64 ci = 0; ci < c; ci++) {
        for (i64 hi = 0; hi < h; hi++) {
            float *out = dt + (ci * h + hi) * l, *sum = s + (ci * h + hi) * l;
            float total = 0.0f;
            for (i64 li = 0; li < l; li++) {
                i64 i = ci * l + li;
                float value = 0.0f;
                if (i < t) {
                    float v = wide(raw[i * stride + hi]) + bias[hi];
                    value = v > 20.0f ? v : log1pf(expf(v));
                    value = value < low ? low : (value > high ? high : value);
                }
                out[li] = value;
                total += value * A[hi];
                sum[li] = total;
            }
        }
    }
}

/* M chll = causal, same segment: G * exp(s_i - s_j) * dt_j. G cgll. */
void intra_forward(const bf16 *G, const float *s, const float *dt, const int32_t *first, i64 c,
                   i64 l, i64 h, i64 g, bf16 *M) {
    i64 r = h / g;
#pragma omp parallel for schedule(static) LARGE(c * h * l * l)
    for (i64 ch = 0; ch < c * h; ch++) {
        i64 ci = ch / h, gi = (ch % h) / r;
        const float *sums = s + ch * l, *steps = dt + ch * l;
        for (i64 i = 0; i < l; i++) {
            const bf16 *in = G + ((ci * g + gi) * l + i) * l;
            bf16 *out = M + (ch * l + i) * l;
            i64 from = first[ci * l + i] - ci * l;
            from = from < 0 ? 0 : from;
            float own = sums[i];
            memset(out, 0, (size_t)l * sizeof(bf16));
            /* Whole vectors; what is outside [from, i] is masked. */
            for (i64 j0 = from & ~15; j0 <= i; j0 += 16) {
#pragma omp simd simdlen(16)
                for (i64 j = j0; j < j0 + 16; j++) {
                    float v = wide(in[j]) * decay(own - sums[j]) * steps[j];
                    out[j] = j >= from && j <= i ? narrow(v) : 0;
                }
            }
        }
    }
}

/* W cglrp = X chlp weighted by what is left of every token at the end of its chunk. */
void ahead_forward(const bf16 *X, const float *s, const float *dt, const int32_t *first, i64 c,
                   i64 l, i64 h, i64 p, i64 g, bf16 *W) {
    i64 r = h / g;
#pragma omp parallel for schedule(static) LARGE(c * h * l * p)
    for (i64 ch = 0; ch < c * h; ch++) {
        i64 ci = ch / h, hi = ch % h;
        const float *sums = s + ch * l, *steps = dt + ch * l;
        i64 from = first[ci * l + l - 1] - ci * l;
        for (i64 i = 0; i < l; i++) {
            float a = i >= from ? decay(sums[l - 1] - sums[i]) * steps[i] : 0.0f;
            const bf16 *in = X + (ch * l + i) * p;
            bf16 *out = W + (((ci * g + hi / r) * l + i) * r + hi % r) * p;
#pragma omp simd
            for (i64 j = 0; j < p; j++) out[j] = narrow(wide(in[j]) * a);
        }
    }
}

static inline float chunk_decay(const float *s, const int32_t *first, i64 ci, i64 hi, i64 h,
                                i64 l) {
    return first[ci * l + l - 1] < ci * l ? decay(s[(ci * h + hi) * l + l - 1]) : 0.0f;
}

/* S cgnrp: state in front of every chunk, from what each chunk adds (local, cgnrp). */
void states_forward(const bf16 *local, const float *s, const int32_t *first, i64 c, i64 l, i64 h,
                    i64 p, i64 g, i64 n, float *scratch, bf16 *S) {
    i64 r = h / g, width = r * p;
#pragma omp parallel for schedule(static) LARGE(c * g * n * width)
    for (i64 gn = 0; gn < g * n; gn++) {
        float *state = scratch + (i64)thread() * width;
        memset(state, 0, (size_t)width * sizeof(float));
        for (i64 ci = 0; ci < c; ci++) {
            const bf16 *add = local + (ci * g * n + gn) * width;
            bf16 *out = S + (ci * g * n + gn) * width;
            for (i64 ri = 0; ri < r; ri++) {
                float keep = chunk_decay(s, first, ci, (gn / n) * r + ri, h, l);
#pragma omp simd
                for (i64 j = ri * p; j < (ri + 1) * p; j++) {
                    out[j] = narrow(state[j]);
                    state[j] = keep * state[j] + wide(add[j]);
                }
            }
        }
    }
}

/* y (t, h p) = intra chlp + carry * inter cglrp + D * X. */
void combine_forward(const bf16 *intra, const bf16 *inter, const bf16 *X, const float *s,
                     const int32_t *first, const float *D, i64 t, i64 l, i64 h, i64 p, i64 g,
                     bf16 *y) {
    i64 r = h / g;
#pragma omp parallel for schedule(static) LARGE(t * h * p)
    for (i64 i = 0; i < t; i++) {
        i64 ci = i / l, li = i % l;
        int carried = first[i] < ci * l;
        for (i64 hi = 0; hi < h; hi++) {
            i64 at = ((ci * h + hi) * l + li) * p;
            const bf16 *other = inter + (((ci * g + hi / r) * l + li) * r + hi % r) * p;
            float carry = carried ? decay(s[(ci * h + hi) * l + li]) : 0.0f;
            bf16 *out = y + (i * h + hi) * p;
#pragma omp simd
            for (i64 j = 0; j < p; j++)
                out[j] = narrow(wide(intra[at + j]) + carry * wide(other[j]) +
                                D[hi] * wide(X[at + j]));
        }
    }
}

/* ---- the same backwards ----------------------------------------------------------------------- */

/* From dy (t, h p): Y chlp its copy, Z cglrp = carry * dy, ds chl (set), dD chl (set). */
void combine_backward(const bf16 *dy, const bf16 *inter, const bf16 *X, const float *s,
                      const int32_t *first, i64 t, i64 c, i64 l, i64 h, i64 p, i64 g, bf16 *Y,
                      bf16 *Z, float *ds, float *dD) {
    i64 r = h / g;
#pragma omp parallel for schedule(static) LARGE(c * l * h * p)
    for (i64 i = 0; i < c * l; i++) {
        i64 ci = i / l, li = i % l;
        int carried = i < t && first[i] < ci * l;
        for (i64 hi = 0; hi < h; hi++) {
            i64 chl = (ci * h + hi) * l + li;
            i64 z = (((ci * g + hi / r) * l + li) * r + hi % r) * p;
            bf16 *own = Y + chl * p;
            if (i >= t) {
                memset(own, 0, (size_t)p * sizeof(bf16));
                memset(Z + z, 0, (size_t)p * sizeof(bf16));
                ds[chl] = dD[chl] = 0.0f;
                continue;
            }
            const bf16 *in = dy + (i * h + hi) * p;
            float carry = carried ? decay(s[chl]) : 0.0f, to_s = 0.0f, to_d = 0.0f;
#pragma omp simd reduction(+ : to_s, to_d)
            for (i64 j = 0; j < p; j++) {
                float v = wide(in[j]);
                own[j] = in[j];
                Z[z + j] = narrow(v * carry);
                to_s += v * wide(inter[z + j]);
                to_d += v * wide(X[chl * p + j]);
            }
            ds[chl] = to_s * carry;
            dD[chl] = to_d;
        }
    }
}

/* R cgnrp: gradient of what a chunk adds to the state; keeps (c, g, n, r): R times the state. dS is
   the gradient of the state in front of a chunk as far as that chunk reads it. */
void states_backward(const bf16 *dS, const bf16 *S, const float *s, const int32_t *first, i64 c,
                     i64 l, i64 h, i64 p, i64 g, i64 n, float *scratch, bf16 *R, float *keeps) {
    i64 r = h / g, width = r * p;
#pragma omp parallel for schedule(static) LARGE(c * g * n * width)
    for (i64 gn = 0; gn < g * n; gn++) {
        float *grad = scratch + (i64)thread() * width;
        memset(grad, 0, (size_t)width * sizeof(float));
        for (i64 ci = c - 1; ci >= 0; ci--) {
            i64 at = (ci * g * n + gn) * width;
            for (i64 ri = 0; ri < r; ri++) {
                float keep = chunk_decay(s, first, ci, (gn / n) * r + ri, h, l), sum = 0.0f;
#pragma omp simd reduction(+ : sum)
                for (i64 j = ri * p; j < (ri + 1) * p; j++) {
                    R[at + j] = narrow(grad[j]);
                    sum += grad[j] * wide(S[at + j]);
                    grad[j] = keep * grad[j] + wide(dS[at + j]);
                }
                keeps[(ci * g * n + gn) * r + ri] = sum;
            }
        }
    }
}

/* dG cgll from dM chll; adds to ds chl, sets ddt chl. */
void intra_backward(const bf16 *dM, const bf16 *G, const float *s, const float *dt,
                    const int32_t *first, i64 c, i64 l, i64 h, i64 g, float *scratch, bf16 *dG,
                    float *ds, float *ddt) {
    i64 r = h / g;
#pragma omp parallel for schedule(static) LARGE(c * h * l * l)
    for (i64 cg = 0; cg < c * g; cg++) {
        float *sum = scratch + (i64)thread() * l * (l + 1), *columns = sum + l * l;
        i64 ci = cg / g, gi = cg % g;
        memset(sum, 0, (size_t)(l * l) * sizeof(float));
        for (i64 ri = 0; ri < r; ri++) {
            i64 ch = ci * h + gi * r + ri;
            const float *sums = s + ch * l, *steps = dt + ch * l;
            memset(columns, 0, (size_t)l * sizeof(float));
            for (i64 i = 0; i < l; i++) {
                const bf16 *in = dM + (ch * l + i) * l, *scores = G + (cg * l + i) * l;
                float *out = sum + i * l, own = sums[i], row = 0.0f;
                i64 from = first[ci * l + i] - ci * l;
                from = from < 0 ? 0 : from;
                for (i64 j0 = from & ~15; j0 <= i; j0 += 16) {
#pragma omp simd simdlen(16) reduction(+ : row)
                    for (i64 j = j0; j < j0 + 16; j++) {
                        int seen = j >= from && j <= i;
                        float v = wide(in[j]) * decay(own - sums[j]);
                        v = seen ? v : 0.0f;
                        out[j] += v * steps[j];
                        v *= wide(scores[j]);
                        row += v * steps[j];
                        columns[j] += v;
                    }
                }
                ds[ch * l + i] += row;
            }
#pragma omp simd
            for (i64 j = 0; j < l; j++) {
                ddt[ch * l + j] = columns[j];
                ds[ch * l + j] -= columns[j] * steps[j];
            }
        }
        bf16 *out = dG + cg * l * l;
#pragma omp simd
        for (i64 k = 0; k < l * l; k++) out[k] = narrow(sum[k]);
    }
}

/* dX chlp = intra part + ahead * dW + D * dy; then everything about step sizes: draw (t, h) bf16,
   dA and dbias chl-summed per chunk (c, h). keeps (c, h) already summed over n. */
void step_backward(const bf16 *dXi, const bf16 *dW, const bf16 *Y, const bf16 *X, const float *s,
                   const float *dt, const int32_t *first, const float *A, const float *D,
                   const float *keeps, const bf16 *raw, i64 stride, const float *bias, i64 t, i64 c,
                   i64 l, i64 h, i64 p, i64 g, float low, float high, float *ds, float *ddt,
                   bf16 *dX, bf16 *draw, i64 dstride, float *dA, float *dbias) {
    i64 r = h / g;
#pragma omp parallel for schedule(static) LARGE(c * h * l * p)
    for (i64 ch = 0; ch < c * h; ch++) {
        i64 ci = ch / h, hi = ch % h;
        const float *sums = s + ch * l, *steps = dt + ch * l;
        float *own_s = ds + ch * l, *own_dt = ddt + ch * l;
        i64 from = first[ci * l + l - 1] - ci * l;
        float last = keeps[ch] * chunk_decay(s, first, ci, hi, h, l);
        for (i64 i = 0; i < l; i++) {
            i64 at = (ch * l + i) * p;
            const bf16 *w = dW + (((ci * g + hi / r) * l + i) * r + hi % r) * p;
            float e = i >= from ? decay(sums[l - 1] - sums[i]) : 0.0f, a = e * steps[i];
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (i64 j = 0; j < p; j++) {
                float v = wide(w[j]);
                sum += v * wide(X[at + j]);
                dX[at + j] = narrow(wide(dXi[at + j]) + a * v + D[hi] * wide(Y[at + j]));
            }
            own_dt[i] += sum * e;
            own_s[i] -= sum * a;
            last += sum * a;
        }
        own_s[l - 1] += last;
        float total = 0.0f, to_a = 0.0f, to_bias = 0.0f;
        for (i64 i = l - 1; i >= 0; i--) own_s[i] = total += own_s[i];
        i64 tokens = t - ci * l < l ? t - ci * l : l;
        for (i64 i = 0; i < l; i++)
            own_dt[i] = i < tokens && steps[i] > low && steps[i] < high
                            ? own_dt[i] + own_s[i] * A[hi]
                            : 0.0f;
#pragma omp simd reduction(+ : to_a, to_bias)
        for (i64 i = 0; i < tokens; i++) {
            float d = own_dt[i] * sigmoid(wide(raw[(ci * l + i) * stride + hi]) + bias[hi]);
            own_dt[i] = d;
            to_a += own_s[i] * steps[i];
            to_bias += d;
        }
        for (i64 i = 0; i < tokens; i++) draw[(ci * l + i) * dstride + hi] = narrow(own_dt[i]);
        dA[ch] = to_a;
        dbias[ch] = to_bias;
    }
}

/* ---- norms and activations -------------------------------------------------------------------- */

/* out = y * silu(z), normalised per group, times weight; scale (t, groups) is 1 / rms. */
void gated_norm_forward(const bf16 *y, i64 ys, const bf16 *z, i64 zs, const float *w, i64 t, i64 d,
                        i64 groups, float eps, float *scratch, bf16 *out, float *scale) {
    i64 width = d / groups;
#pragma omp parallel for schedule(static) LARGE(t * d)
    for (i64 i = 0; i < t; i++) {
        float *u = scratch + (i64)thread() * d;
        for (i64 gi = 0; gi < groups; gi++) {
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (i64 j = gi * width; j < (gi + 1) * width; j++) {
                float v = wide(z[i * zs + j]);
                v = wide(y[i * ys + j]) * v * sigmoid(v);
                u[j] = v;
                sum += v * v;
            }
            float k = 1.0f / sqrtf(sum / (float)width + eps);
            scale[i * groups + gi] = k;
#pragma omp simd
            for (i64 j = gi * width; j < (gi + 1) * width; j++)
                out[i * d + j] = narrow(u[j] * k * w[j]);
        }
    }
}

/* dw (threads, d) is summed by the caller. */
void gated_norm_backward(const bf16 *dout, const bf16 *y, i64 ys, const bf16 *z, i64 zs,
                         const float *w, const float *scale, i64 t, i64 d, i64 groups,
                         float *scratch, bf16 *dy, bf16 *dz, i64 dzs, float *dw) {
    i64 width = d / groups;
#pragma omp parallel LARGE(t * d)
    {
        float *own = dw + (i64)thread() * d, *u = scratch + (i64)thread() * d;
        memset(own, 0, (size_t)d * sizeof(float));
#pragma omp for schedule(static)
        for (i64 i = 0; i < t; i++) {
            for (i64 gi = 0; gi < groups; gi++) {
                float k = scale[i * groups + gi], dot = 0.0f;
#pragma omp simd reduction(+ : dot)
                for (i64 j = gi * width; j < (gi + 1) * width; j++) {
                    float v = wide(z[i * zs + j]), e = wide(dout[i * d + j]);
                    v = wide(y[i * ys + j]) * v * sigmoid(v) * k; /* normalised */
                    own[j] += e * v;
                    dot += e * w[j] * v;
                    u[j] = v;
                }
                dot /= (float)width;
#pragma omp simd
                for (i64 j = gi * width; j < (gi + 1) * width; j++) {
                    float v = wide(z[i * zs + j]), gate = sigmoid(v), yv = wide(y[i * ys + j]);
                    float du = (wide(dout[i * d + j]) * w[j] - u[j] * dot) * k;
                    dy[i * d + j] = narrow(du * v * gate);
                    dz[i * dzs + j] = narrow(du * yv * gate * (1.0f + v * (1.0f - gate)));
                }
            }
        }
    }
}

void rms_norm_forward(const bf16 *x, const float *w, i64 t, i64 d, float eps, bf16 *out,
                      float *scale) {
#pragma omp parallel for schedule(static) LARGE(t * d)
    for (i64 i = 0; i < t; i++) {
        const bf16 *row = x + i * d;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (i64 j = 0; j < d; j++) sum += wide(row[j]) * wide(row[j]);
        float k = 1.0f / sqrtf(sum / (float)d + eps);
        scale[i] = k;
#pragma omp simd
        for (i64 j = 0; j < d; j++) out[i * d + j] = narrow(wide(row[j]) * k * w[j]);
    }
}

void rms_norm_backward(const bf16 *dout, const bf16 *x, const float *w, const float *scale, i64 t,
                       i64 d, bf16 *dx, float *dw) {
#pragma omp parallel LARGE(t * d)
    {
        float *own = dw + (i64)thread() * d;
        memset(own, 0, (size_t)d * sizeof(float));
#pragma omp for schedule(static)
        for (i64 i = 0; i < t; i++) {
            const bf16 *row = x + i * d, *grad = dout + i * d;
            float k = scale[i], dot = 0.0f;
#pragma omp simd reduction(+ : dot)
            for (i64 j = 0; j < d; j++) {
                float v = wide(row[j]) * k, e = wide(grad[j]);
                own[j] += e * v;
                dot += e * w[j] * v;
            }
            dot /= (float)d;
#pragma omp simd
            for (i64 j = 0; j < d; j++)
                dx[i * d + j] = narrow((wide(grad[j]) * w[j] - wide(row[j]) * k * dot) * k);
        }
    }
}

void squared_relu_forward(const bf16 *x, i64 count, bf16 *out) {
#pragma omp parallel for simd schedule(static) LARGE(count)
    for (i64 i = 0; i < count; i++) {
        float v = wide(x[i]);
        v = v < 0.0f ? 0.0f : v;
        out[i] = narrow(v * v);
    }
}

void squared_relu_backward(const bf16 *dout, const bf16 *x, i64 count, bf16 *dx) {
#pragma omp parallel for simd schedule(static) LARGE(count)
    for (i64 i = 0; i < count; i++) {
        float v = wide(x[i]);
        dx[i] = narrow(v > 0.0f ? 2.0f * v * wide(dout[i]) : 0.0f);
    }
}

/* ---- softmax of attention scores -------------------------------------------------------------- */

/* P = softmax(scale * S) per row, S (rows, keys) in place. causal > 0: row i of every `causal`
   rows sees keys up to (keys - causal) + i. */
void softmax_forward(bf16 *S, i64 rows, i64 keys, i64 causal, float scale, float *scratch) {
#pragma omp parallel for schedule(static) LARGE(rows * keys)
    for (i64 i = 0; i < rows; i++) {
        bf16 *row = S + i * keys;
        float *u = scratch + (i64)thread() * keys;
        i64 seen = causal > 0 ? keys - causal + i % causal + 1 : keys;
        float top = -INFINITY, sum = 0.0f;
#pragma omp simd reduction(max : top)
        for (i64 j = 0; j < seen; j++) top = wide(row[j]) > top ? wide(row[j]) : top;
#pragma omp simd reduction(+ : sum)
        for (i64 j = 0; j < seen; j++) {
            float e = decay((wide(row[j]) - top) * scale);
            u[j] = e;
            sum += e;
        }
        float k = 1.0f / sum;
#pragma omp simd
        for (i64 j = 0; j < seen; j++) row[j] = narrow(u[j] * k);
        if (seen < keys) memset(row + seen, 0, (size_t)(keys - seen) * sizeof(bf16));
    }
}

/* dS = scale * P * (dP - delta), in place in dP; delta (rows) is the sum of out * dout. */
void softmax_backward(bf16 *dP, const bf16 *P, const float *delta, i64 rows, i64 keys, float scale) {
#pragma omp parallel for schedule(static) LARGE(rows * keys)
    for (i64 i = 0; i < rows; i++) {
        bf16 *grad = dP + i * keys;
        const bf16 *p = P + i * keys;
        float d = delta[i];
#pragma omp simd
        for (i64 j = 0; j < keys; j++)
            grad[j] = narrow(wide(p[j]) * (wide(grad[j]) - d) * scale);
    }
}
