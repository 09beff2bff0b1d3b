/* Events out of dense activations, the windows they fall into, and the sums of each feature. */
#include "common.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* One bit for each of up to 64 values: whether it is not 0. */
static inline uint64_t non_zero(const float *value, int64_t n)
{
    uint64_t mask = 0;
    int64_t i = 0;
#if defined(__SSE2__)
    const __m128 zero = _mm_setzero_ps();
    for (; i + 16 <= n; i += 16) {
        __m128i four[4];
        for (int j = 0; j < 4; j++)
            four[j] = _mm_castps_si128(_mm_cmpneq_ps(_mm_loadu_ps(value + i + 4 * j), zero));
        __m128i sixteen = _mm_packs_epi16(_mm_packs_epi32(four[0], four[1]), _mm_packs_epi32(four[2], four[3]));
        mask |= (uint64_t)_mm_movemask_epi8(sixteen) << i;
    }
#endif
    for (; i < n; i++)
        mask |= (uint64_t)(value[i] != 0) << i;
    return mask;
}

/* Marks the values that are not 0 in columns `begin` to `end` - 1 of `dense` [n_features, n_columns], each by a bit:
   64 columns a word, whole words a feature. Column i stands for `row_of[i]`, and does not count where that is -1.
   `first` is the number of the first feature; `selected` may be null. Returns how many there are. */
int64_t mark_firing(const float *dense, int64_t n_features, int64_t n_columns, int64_t begin, int64_t end,
                    const int64_t *row_of, const uint8_t *selected, int64_t first, int64_t *marks)
{
    int64_t n_words = (end - begin + 63) / 64, n = 0;
    for (int64_t word = 0; word < n_words; word++) {
        int64_t from = begin + 64 * word, width = end - from < 64 ? end - from : 64;
        uint64_t counted = 0;
        for (int64_t i = 0; i < width; i++)
            counted |= (uint64_t)(row_of[from + i] >= 0) << i;
        marks[word] = (int64_t)counted;
    }
    for (int64_t f = n_features - 1; f >= 0; f--)  /* the first last: its words hold what counts until then */
        for (int64_t word = 0; word < n_words; word++) {
            int64_t from = begin + 64 * word, width = end - from < 64 ? end - from : 64;
            uint64_t mask = 0;
            if (!selected || selected[first + f])
                mask = non_zero(dense + f * n_columns + from, width) & (uint64_t)marks[word];
            marks[f * n_words + word] = (int64_t)mask;
            n += __builtin_popcountll(mask);
        }
    return n;
}

/* Feature, row and value of what is marked. */
int64_t collect_firing(const float *dense, int64_t n_features, int64_t n_columns, int64_t begin, int64_t end,
                       const int64_t *row_of, int64_t first, const int64_t *marks, int64_t *feature, int64_t *row,
                       float *value)
{
    int64_t n_words = (end - begin + 63) / 64, n = 0;
    for (int64_t f = 0; f < n_features; f++)
        for (int64_t word = 0; word < n_words; word++) {
            const int64_t from = begin + 64 * word;
            for (uint64_t mask = (uint64_t)marks[f * n_words + word]; mask; mask &= mask - 1, n++) {
                int64_t at = from + __builtin_ctzll(mask);
                feature[n] = first + f;
                row[n] = row_of[at];
                value[n] = dense[f * n_columns + at];
            }
        }
    return n;
}

/* Runs of events of one feature in one window. */
int64_t find_windows(int64_t n, const int64_t *feature, const int64_t *row, const float *value,
                     const int64_t *window_of, int64_t *start, int64_t *length, int64_t *window_feature,
                     int64_t *window_row, float *window_max)
{
    int64_t found = -1, of = -1, window = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t mine = window_of[row[i]];
        if (feature[i] != of || mine != window) {
            of = feature[i];
            window = mine;
            found++;
            start[found] = i;
            length[found] = 1;
            window_feature[found] = of;
            window_row[found] = row[i];
            window_max[found] = value[i];
        } else {
            length[found]++;
            window_max[found] = larger(window_max[found], value[i]);
        }
    }
    return found + 1;
}

/* The largest value of each of the runs, one after the other, of these lengths. */
int64_t largest_of_runs(int64_t n_runs, const int64_t *length, const float *value, float *largest)
{
    for (int64_t i = 0; i < n_runs; i++) {
        float most = -INFINITY;
        for (int64_t j = 0; j < length[i]; j++)
            most = larger(most, *value++);
        largest[i] = most;
    }
    return 0;
}

/* What statistics.py adds up, of the events of one split. `position_bin`, `outlier` by row; `outlier` may be null. */
int64_t add_statistics(int64_t n, const int64_t *feature, const int64_t *row, const float *value,
                    const int64_t *position_bin, const uint8_t *outlier, int64_t n_windows,
                    const int64_t *window_feature, const float *window_max, int64_t n_fine, int64_t n_positions,
                    double *total, double *total2, int32_t *histogram, int32_t *positions, int32_t *outliers,
                    float *maximum, int64_t *n_firing_windows)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t f = feature[i];
        double activation = value[i];
        int32_t fine = (bits_of(value[i]) >> 20) - (int32_t)((127 + LOWEST) * (n_fine / OCTAVES));
        total[f] += activation;
        total2[f] += activation * activation;
        histogram[f * n_fine + clamp(fine, (int32_t)n_fine - 1)]++;
        positions[f * n_positions + position_bin[row[i]]]++;
        if (outlier && outlier[row[i]])
            outliers[f * OCTAVES + octave_of(value[i])]++;
    }
    for (int64_t i = 0; i < n_windows; i++) {
        int64_t f = window_feature[i];
        maximum[f] = larger(maximum[f], window_max[i]);
        n_firing_windows[f]++;
    }
    return 0;
}
