// A linear whose weights keep 1 or 2 bits in memory: quantise the rows of x, multiply, scale, add the bias.
//
// Sums are integers, and every float32 operation is rounded once, in the order of
// compress/quantization/integer_first.py, so y equals that of the other engines bit for bit. This requires
// -ffp-contract=off and no -ffast-math.
//
// A weight S is stored as an unsigned code c, because the dot-product instructions take one unsigned operand: with
// 1 bit S = 2c - 1, with 2 bits S = c - 1 (-1, 0, 1) or S = 2c - 3 (-3, -1, 1, 3). So S q = factor cq - offset q, and
// the sum of a row's q corrects its products.
//
// Layout of the codes: panels of 32 outputs, the last one padded with zeros; in a panel, groups of 8 / bits quads of
// inputs, padded likewise; in a group, 128 bytes: byte 4 * output + input belongs to that output and to that input of
// each quad, the first quad in its lowest bits. A mask and a shift then extract one quad after the other, each code in
// its own byte.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

constexpr int PANEL = 32;
constexpr long CHUNK = 192;            // rows whose quantised inputs fit in a core's cache
constexpr long WORTH_THREADS = 1 << 20;  // products

// What depends on the processor: LANES sums per register, and ROWS rows computed at once, limited by the registers.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)

const char* const INSTRUCTIONS = "avx512-vnni";
constexpr int LANES = 16, ROWS = 12;
using Lanes = __m512i;

inline Lanes load(const uint8_t* bytes) { return _mm512_loadu_si512(bytes); }

// Returns the lowest BITS bits of each byte and shifts them out.
template <int BITS>
inline Lanes next(Lanes& packed) {
    const Lanes code = _mm512_and_si512(packed, _mm512_set1_epi8((1 << BITS) - 1));
    packed = _mm512_srli_epi32(packed, BITS);
    return code;
}

inline Lanes dot(Lanes sums, Lanes code, int32_t quad) {
    return _mm512_dpbusd_epi32(sums, code, _mm512_set1_epi32(quad));
}

inline void store(Lanes sums, int32_t* out) { _mm512_storeu_si512(out, sums); }

#elif defined(__AVX2__)

const char* const INSTRUCTIONS = "avx2";
constexpr int LANES = 8, ROWS = 2;
using Lanes = __m256i;

inline Lanes load(const uint8_t* bytes) { return _mm256_loadu_si256(reinterpret_cast<const Lanes*>(bytes)); }

template <int BITS>
inline Lanes next(Lanes& packed) {
    const Lanes code = _mm256_and_si256(packed, _mm256_set1_epi8((1 << BITS) - 1));
    packed = _mm256_srli_epi32(packed, BITS);
    return code;
}

inline Lanes dot(Lanes sums, Lanes code, int32_t quad) {  // pairs are at most 2 * 3 * 127, so no 16-bit sum saturates
    const Lanes pairs = _mm256_maddubs_epi16(code, _mm256_set1_epi32(quad));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

inline void store(Lanes sums, int32_t* out) { _mm256_storeu_si256(reinterpret_cast<Lanes*>(out), sums); }

#else

const char* const INSTRUCTIONS = "plain";
constexpr int LANES = 16, ROWS = 4;
struct Lanes {
    uint32_t lane[LANES];
};

inline Lanes load(const uint8_t* bytes) {
    Lanes packed;
    std::memcpy(packed.lane, bytes, sizeof packed.lane);
    return packed;
}

template <int BITS>
inline Lanes next(Lanes& packed) {
    Lanes code;
    for (int lane = 0; lane < LANES; lane++) {
        code.lane[lane] = packed.lane[lane] & 0x01010101u * ((1 << BITS) - 1);
        packed.lane[lane] >>= BITS;
    }
    return code;
}

inline Lanes dot(Lanes sums, Lanes code, int32_t quad) {
    for (int lane = 0; lane < LANES; lane++)
        for (int input = 0; input < 32; input += 8)
            sums.lane[lane] += (code.lane[lane] >> input & 3) * static_cast<int8_t>(quad >> input);
    return sums;
}

inline void store(Lanes sums, int32_t* out) { std::memcpy(out, sums.lane, sizeof sums.lane); }

#endif

// Multiplies R rows with a panel. q: one quad of each of R rows in turn. Unrolled, so that sums stay in registers.
template <int BITS, int R>
void multiply(const int8_t* q, const uint8_t* panel, long groups, int32_t (*out)[PANEL]) {
    constexpr int VECTORS = PANEL / LANES;
    Lanes sums[R][VECTORS] = {}, packed[VECTORS];
    for (long group = 0; group < groups; group++, panel += 4 * PANEL) {
#pragma GCC unroll 4
        for (int vector = 0; vector < VECTORS; vector++) packed[vector] = load(panel + vector * 4 * LANES);
#pragma GCC unroll 1
        for (int step = 0; step < 8 / BITS; step++, q += 4 * R) {
            Lanes code[VECTORS];
#pragma GCC unroll 4
            for (int vector = 0; vector < VECTORS; vector++) code[vector] = next<BITS>(packed[vector]);
#pragma GCC unroll 12
            for (int row = 0; row < R; row++) {
                int32_t quad;
                std::memcpy(&quad, q + 4 * row, 4);
#pragma GCC unroll 4
                for (int vector = 0; vector < VECTORS; vector++)
                    sums[row][vector] = dot(sums[row][vector], code[vector], quad);
            }
        }
    }
#pragma GCC unroll 12
    for (int row = 0; row < R; row++)
#pragma GCC unroll 4
        for (int vector = 0; vector < VECTORS; vector++) store(sums[row][vector], out[row] + vector * LANES);
}

template <int BITS, int R = ROWS>
void multiply_rows(long rows, const int8_t* q, const uint8_t* panel, long groups, int32_t (*out)[PANEL]) {
    if (rows == R) return multiply<BITS, R>(q, panel, groups, out);
    if constexpr (R > 1) multiply_rows<BITS, R - 1>(rows, q, panel, groups, out);
}

struct Row {
    float scale;
    int32_t sum;
};

// Quantises a row of x to q (columns). limit < 0: use the row's own maximum. epsilon >= 0: divide the row by its root
// mean square, which changes only its scale (compress/quantization/input_norm.py).
Row quantise(const float* x, long columns, float levels, float limit, float epsilon, int8_t* q) {
    if (limit < 0) {
        int32_t largest = 0;  // of the bits without sign, which order like the numbers, NaN last
        for (long k = 0; k < columns; k++) {
            int32_t bits;
            std::memcpy(&bits, x + k, 4);
            largest = std::max(largest, bits & 0x7fffffff);
        }
        std::memcpy(&limit, &largest, 4);
    }
    const float scale = limit / levels, step = scale > 0 ? scale : 1.0f;
    int32_t sum = 0;
    for (long k = 0; k < columns; k++) {
        const float value = std::rint(x[k] / step);
        const int32_t whole = static_cast<int32_t>(std::min(std::max(value, -levels), levels));
        q[k] = static_cast<int8_t>(whole);
        sum += whole;
    }
    if (epsilon < 0) return {scale, sum};
    int64_t squares = 0;
    for (long k = 0; k < columns; k++) squares += q[k] * q[k];
    const float mean_square = (scale * scale) * (static_cast<float>(squares) / static_cast<float>(columns));
    return {scale * (1.0f / std::sqrt(mean_square + epsilon)), sum};
}

template <int BITS>
void linear(int32_t factor, int32_t weight_offset, const float* x, long rows, long columns, const uint8_t* weight,
            long outputs, const float* weight_scale, bool one_scale, const float* bias, float levels, float limit,
            float epsilon, float* y, int threads) {
    const long per_group = 4 * 8 / BITS, groups = (columns + per_group - 1) / per_group, width = groups * per_group;
    const long quads = width / 4, panels = (outputs + PANEL - 1) / PANEL, chunk = std::min(rows, CHUNK);
    static thread_local std::vector<int8_t> inputs;
    static thread_local std::vector<Row> row_sums;
    if (inputs.size() < static_cast<size_t>(chunk * width)) inputs.resize(chunk * width);
    if (row_sums.size() < static_cast<size_t>(chunk)) row_sums.resize(chunk);
    int8_t* const q = inputs.data();
    Row* const row_of = row_sums.data();

    if (rows * columns * outputs < WORTH_THREADS) threads = 1;
#pragma omp parallel num_threads(threads)
    {
        std::vector<int8_t> line(width);
        for (long first = 0; first < rows; first += chunk) {
            const long count = std::min(chunk, rows - first), tiles = (count + ROWS - 1) / ROWS;

            // Quantise a chunk of rows, in tiles of ROWS rows whose quads alternate.
#pragma omp for
            for (long tile = 0; tile < tiles; tile++) {
                const long start = count * tile / tiles, size = count * (tile + 1) / tiles - start;
                for (long row = 0; row < size; row++) {
                    row_of[start + row] =
                        quantise(x + (first + start + row) * columns, columns, levels, limit, epsilon, line.data());
                    int8_t* into = q + start * width + row * 4;
                    for (long k = 0; k < quads; k++) std::memcpy(into + k * size * 4, line.data() + k * 4, 4);
                }
            }

            // Multiply each tile with each panel, then scale the sums and add the bias.
#pragma omp for collapse(2)
            for (long tile = 0; tile < tiles; tile++)  // outer loop: panels are small, and y is written row by row
                for (long panel = 0; panel < panels; panel++) {
                    const long start = count * tile / tiles, size = count * (tile + 1) / tiles - start;
                    const long left = panel * PANEL, kept = std::min<long>(PANEL, outputs - left);
                    int32_t sums[ROWS][PANEL];
                    multiply_rows<BITS>(size, q + start * width, weight + panel * groups * 4 * PANEL, groups, sums);
                    float scale[PANEL], offset[PANEL], out[PANEL];
                    std::fill(scale, scale + PANEL, *weight_scale);
                    std::fill(offset, offset + PANEL, -0.0f);  // without a bias: adding -0 changes no number
                    if (!one_scale) std::memcpy(scale, weight_scale + left, kept * 4);
                    if (bias) std::memcpy(offset, bias + left, kept * 4);
                    for (long row = 0; row < size; row++) {
                        const Row own = row_of[start + row];
                        const int32_t surplus = weight_offset * own.sum;
                        for (int c = 0; c < PANEL; c++) {
                            const int32_t total = factor * sums[row][c] - surplus;
                            out[c] = static_cast<float>(total) * (scale[c] * own.scale) + offset[c];
                        }
                        std::memcpy(y + (first + start + row) * outputs + left, out, kept * 4);
                    }
                }
        }
    }
}

}  // namespace

extern "C" {

const char* xtc_instructions() { return INSTRUCTIONS; }

// Maps x (rows, columns) to y (rows, outputs). A weight is factor * code - offset. weight_scale: one, or one per
// output. bias may be null. epsilon: of the norm of each row; below 0, there is none.
void xtc_linear(int bits, int factor, int offset, const float* x, long rows, long columns, const uint8_t* weight,
                long outputs, const float* weight_scale, int one_scale, const float* bias, float levels, float limit,
                float epsilon, float* y, int threads) {
    const auto function = bits == 1 ? linear<1> : linear<2>;
    function(factor, offset, x, rows, columns, weight, outputs, weight_scale, one_scale, bias, levels, limit, epsilon, y,
             threads);
}
}
