/* Which windows may still be kept, what is kept of them, and the smallest keys of each group. */
#include "common.h"

/* Windows that fit by their largest activation, largest first. `context_of` null: all of them; else of each context
   the strongest, the first where several are equal. `only_positive`: leaves out those whose largest is 0. */
int64_t fitting_top(int64_t n, const int64_t *feature, const int64_t *row, const float *largest,
                    const int64_t *window_of, const int64_t *context_of, int64_t only_positive, const int64_t *limit,
                    int64_t *index, int64_t *key)
{
    int64_t found = 0, of = -1, context = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t mine = ((int64_t)(0x7FFFFFFF - (int64_t)bits_of(largest[i])) << 32) | window_of[row[i]];
        if (mine >= limit[feature[i]] || (only_positive && !(largest[i] > 0)))
            continue;
        if (context_of && found && feature[i] == of && context_of[row[i]] == context) {
            if (mine >= key[found - 1])
                continue;
            found--;
        }
        of = feature[i];
        context = context_of ? context_of[row[i]] : -1;
        index[found] = i;
        key[found++] = mine;
    }
    return found;
}

/* Windows that fit by hash(feature, window); not those whose row's window is -1. `first`: number of the first feature
   in its dictionary. */
int64_t fitting_windows(int64_t n, const int64_t *feature, const int64_t *row, const int64_t *window_of,
                        uint64_t stream, int64_t first, const int64_t *limit, int64_t *index, int64_t *key)
{
    int64_t found = 0, of = -1;
    uint64_t state = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t window = window_of[row[i]];
        if (window < 0)
            continue;
        if (feature[i] != of) {
            of = feature[i];
            state = mix(stream ^ (uint64_t)(of + first));
        }
        int64_t mine = (int64_t)(mix(state ^ (uint64_t)window) >> 1);
        if (mine < limit[of]) {
            index[found] = i;
            key[found++] = mine;
        }
    }
    return found;
}

/* Firing tokens that fit in the reservoir of their octave by hash(feature, context, position), and their windows.
   Those on outliers do not; `outlier` may be null. */
int64_t fitting_firings(int64_t n, const int64_t *feature, const int64_t *row, const float *value,
                        const int64_t *context_of, const int64_t *position_of, const uint8_t *outlier, uint64_t stream,
                        int64_t first, const int64_t *limit, int64_t n_windows, const int64_t *window_start,
                        int64_t *event, int64_t *window, int64_t *group, int64_t *key)
{
    int64_t found = 0, of = -1, context = -1, in = 0;
    uint64_t of_feature = 0, state = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = row[i];
        if (feature[i] != of) {
            of = feature[i];
            context = -1;
            of_feature = mix(stream ^ (uint64_t)(of + first));
        }
        if (context_of[at] != context) {
            context = context_of[at];
            state = mix(of_feature ^ (uint64_t)context);
        }
        if (outlier && outlier[at])
            continue;
        int64_t mine = (int64_t)(mix(state ^ (uint64_t)position_of[at]) >> 1);
        int64_t in_octave = of * OCTAVES + octave_of(value[i]);
        if (mine >= limit[in_octave])
            continue;
        while (in + 1 < n_windows && window_start[in + 1] <= i)
            in++;
        event[found] = i;
        window[found] = in;
        group[found] = in_octave;
        key[found++] = mine;
    }
    return found;
}

/* Sets the bits of the windows of a pool (`number_of` a row; -1: not in it) in which features fire. */
int64_t add_to_pool(int64_t n, const int64_t *feature, const int64_t *row, const int64_t *number_of, int64_t row_bytes,
                 uint8_t *bits)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t number = number_of[row[i]];
        if (number >= 0)
            bits[feature[i] * row_bytes + (number >> 3)] |= (uint8_t)(1 << (number & 7));
    }
    return 0;
}

/* The event of largest value in each of some windows, the first of equals. */
int64_t peaks(int64_t n, const int64_t *window, const int64_t *start, const int64_t *length, const float *largest,
           const float *value, int64_t *event)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = start[window[i]], end = at + length[window[i]];
        while (at + 1 < end && value[at] != largest[window[i]])
            at++;
        event[i] = at;
    }
    return 0;
}

/* The events of the same feature in the span around each event: the first, and how many. Returns how many in all. */
int64_t spans_around(int64_t n, const int64_t *event, int64_t n_events, const int64_t *feature, const int64_t *row,
                     const int64_t *position_of, const int64_t *shown_from, const int64_t *shown_to, int64_t left,
                     int64_t length, int64_t *start, int64_t *n_inside)
{
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = row[event[i]], of = feature[event[i]], place = position_of[at];
        int64_t from = place - left, to = shown_to[at] - length;
        from = from < to ? from : to;
        from = from > shown_from[at] ? from : shown_from[at];
        to = from + length < shown_to[at] ? from + length : shown_to[at];
        int64_t first = event[i], last = event[i] + 1;
        while (first > 0 && feature[first - 1] == of && row[first - 1] >= at - place + from)
            first--;
        while (last < n_events && feature[last] == of && row[last] < at - place + to)
            last++;
        start[i] = first;
        n_inside[i] = last - first;
        total += last - first;
    }
    return total;
}

/* What is kept of windows: `event` is what each is chosen for, `start` and `length` the events that it shows. */
int64_t describe_kept(int64_t n, const int64_t *event, const int64_t *start, const int64_t *length, const int64_t *row,
                   const float *value, const int64_t *window_of, const int64_t *position_of, int64_t *window,
                   int32_t *peak, float *peak_value, uint8_t *kept_length, int16_t *offset, float *inside)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = row[event[i]], place = position_of[at];
        window[i] = window_of[at];
        peak[i] = (int32_t)place;
        peak_value[i] = value[event[i]];
        kept_length[i] = (uint8_t)length[i];
        for (int64_t j = start[i]; j < start[i] + length[i]; j++) {
            *offset++ = (int16_t)(position_of[row[j]] - place);
            *inside++ = value[j];
        }
    }
    return 0;
}

/* The `keep` smallest keys of each group, of equals the earlier, in the order of group and key; groups are
   `first_group` to `first_group + n_groups` - 1. A full group's `limit` is set. -1 where there is no memory. */
int64_t smallest_keys(int64_t n, const int32_t *group, const int64_t *key, int64_t first_group, int64_t n_groups,
                      int64_t keep, int64_t *limit, int64_t *index)
{
    int64_t *end = calloc((size_t)n_groups + 1, sizeof *end);
    int64_t *by_group = malloc(((size_t)n + 1) * sizeof *by_group);
    int64_t *best = malloc(((size_t)keep + 1) * 2 * sizeof *best);
    int64_t found = -1;
    if (end && by_group && best) {
        int64_t *of_best = best + keep + 1, first = 0;
        found = 0;
        for (int64_t i = 0; i < n; i++)
            end[group[i] - first_group + 1]++;
        for (int64_t i = 0; i < n_groups; i++)
            end[i + 1] += end[i];
        for (int64_t i = 0; i < n; i++)
            by_group[end[group[i] - first_group]++] = i;
        for (int64_t g = 0; g < n_groups; first = end[g++]) {
            int64_t held = 0;
            for (int64_t i = first; i < end[g]; i++) {
                int64_t mine = key[by_group[i]], at = held;
                if (held == keep && (keep == 0 || mine >= best[keep - 1]))
                    continue;
                held += held < keep;
                at = held - 1;
                for (; at > 0 && best[at - 1] > mine; at--) {
                    best[at] = best[at - 1];
                    of_best[at] = of_best[at - 1];
                }
                best[at] = mine;
                of_best[at] = by_group[i];
            }
            if (held == keep && keep)
                limit[first_group + g] = best[keep - 1];
            memcpy(index + found, of_best, (size_t)held * sizeof *index);
            found += held;
        }
    }
    free(end);
    free(by_group);
    free(best);
    return found;
}

/* Activations in all of the windows at `index`, of two sets. */
int64_t taken_length(int64_t n, const int64_t *index, int64_t n_first, const uint8_t *length, const uint8_t *length_2)
{
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += index[i] < n_first ? length[index[i]] : length_2[index[i] - n_first];
    return total;
}

/* Some of the windows of two sets, the second numbered on from the first. 0, or -1 where there is no memory. */
int64_t take_kept(int64_t n, const int64_t *index, int64_t n_first, const int32_t *group, const int64_t *key,
                  const int64_t *window, const int32_t *peak, const float *peak_value, const uint8_t *length,
                  const int16_t *offset, const float *value, int64_t n_second, const int32_t *group_2,
                  const int64_t *key_2, const int64_t *window_2, const int32_t *peak_2, const float *peak_value_2,
                  const uint8_t *length_2, const int16_t *offset_2, const float *value_2, int32_t *to_group,
                  int64_t *to_key, int64_t *to_window, int32_t *to_peak, float *to_peak_value, uint8_t *to_length,
                  int16_t *to_offset, float *to_value)
{
    int64_t *start = malloc(((size_t)(n_first + n_second) + 1) * sizeof *start), total = 0;
    if (!start)
        return -1;
    for (int64_t i = 0; i < n_first; i++) {
        start[i] = total;
        total += length[i];
    }
    total = 0;
    for (int64_t i = 0; i < n_second; i++) {
        start[n_first + i] = total;
        total += length_2[i];
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t at = index[i];
        const int16_t *from_offset = offset + start[at];
        const float *from_value = value + start[at];
        if (at < n_first) {
            to_group[i] = group[at];
            to_key[i] = key[at];
            to_window[i] = window[at];
            to_peak[i] = peak[at];
            to_peak_value[i] = peak_value[at];
            to_length[i] = length[at];
        } else {
            from_offset = offset_2 + start[at];
            from_value = value_2 + start[at];
            at -= n_first;
            to_group[i] = group_2[at];
            to_key[i] = key_2[at];
            to_window[i] = window_2[at];
            to_peak[i] = peak_2[at];
            to_peak_value[i] = peak_value_2[at];
            to_length[i] = length_2[at];
        }
        for (int64_t j = 0, inner = to_length[i]; j < inner; j++) {  /* a few: a call of memcpy takes longer */
            *to_offset++ = from_offset[j];
            *to_value++ = from_value[j];
        }
    }
    free(start);
    return 0;
}
