/* Activation mass by token and by pair: keys, sums, merged and pruned tables. */
#include "common.h"

/* Adds events to the dense table of frequent tokens [features, n_columns]. Returns how many are in its last column. */
int64_t add_frequent(int64_t n, const int64_t *feature, const int64_t *row, const float *value,
                     const int64_t *column_of, int64_t n_columns, double *mass, int32_t *count)
{
    int64_t other = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t column = column_of[row[i]], cell = feature[i] * n_columns + column;
        mass[cell] += value[i];
        count[cell]++;
        other += column == n_columns - 1;
    }
    return other;
}

/* Keys and activations of events whose row is of at least the level that their feature asks for; `level` null: of all
   whose row's level is not 0. */
int64_t gram_keys(int64_t n, const int64_t *feature, const int64_t *row, const float *value, const int64_t *gram_of,
                  int64_t n_grams, const int64_t *level_of, const int64_t *level, int64_t *key, float *activation)
{
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t f = feature[i], at = row[i];
        if (level_of && level_of[at] < (level ? level[f] : 1))
            continue;
        key[found] = f * n_grams + gram_of[at];
        activation[found++] = value[i];
    }
    return found;
}

/* Sorts keys below 2^bits, stably, with their values; 11 bits at a time, the lowest first. Returns whether the result
   is in the second arrays. */
static int sort_pairs(int64_t n, int64_t bits, uint64_t *key, float *value, uint64_t *other_key, float *other_value)
{
    int swapped = 0;
    for (int64_t shift = 0; shift < bits; shift += 11) {
        int64_t place[1 << 11] = {0}, before = 0;
        for (int64_t i = 0; i < n; i++)
            place[(key[i] >> shift) & 2047]++;
        if (place[(key[0] >> shift) & 2047] == n)
            continue;
        for (int64_t i = 0; i < 2048; i++) {
            int64_t here = place[i];
            place[i] = before;
            before += here;
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t to = place[(key[i] >> shift) & 2047]++;
            other_key[to] = key[i];
            other_value[to] = value[i];
        }
        uint64_t *keys = key;
        float *values = value;
        key = other_key, other_key = keys;
        value = other_value, other_value = values;
        swapped = !swapped;
    }
    return swapped;
}

/* The table of events with keys from `first` to below `first + 2^bits`: how many entries it has, -1 where there is no
   memory. */
int64_t sum_grams(int64_t n, const int64_t *key, const float *value, int64_t first, int64_t bits, int64_t *to_key,
                  double *mass, int32_t *count)
{
    uint64_t *keys = malloc((size_t)n * 2 * sizeof *keys);
    float *values = malloc((size_t)n * 2 * sizeof *values);
    int64_t last = -1;
    if (!keys || !values) {
        free(keys);
        free(values);
        return -1;
    }
    for (int64_t i = 0; i < n; i++)
        keys[i] = (uint64_t)(key[i] - first);
    memcpy(values, value, (size_t)n * sizeof *values);
    int swapped = sort_pairs(n, bits, keys, values, keys + n, values + n);
    const uint64_t *sorted = swapped ? keys + n : keys;
    const float *in_order = swapped ? values + n : values;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1]) {
            to_key[++last] = (int64_t)sorted[i] + first;
            mass[last] = 0;
            count[last] = 0;
        }
        mass[last] += in_order[i];
        count[last]++;
    }
    free(keys);
    free(values);
    return last + 1;
}

/* The sum of two tables; with `to_key` null only how many entries it has. */
int64_t merge_grams(int64_t n, const int64_t *key, const double *mass, const int32_t *count, int64_t n_new,
                    const int64_t *new_key, const double *new_mass, const int32_t *new_count, int64_t *to_key,
                    double *to_mass, int32_t *to_count)
{
    int64_t i = 0, j = 0, found = 0;
    if (!to_key) {
        while (i < n && j < n_new) {
            int64_t old = key[i], fresh = new_key[j];
            i += old <= fresh;
            j += fresh <= old;
            found++;
        }
        return found + (n - i) + (n_new - j);
    }
    for (; i < n && j < n_new; found++) {
        int64_t old = key[i], fresh = new_key[j];
        int64_t from_old = old <= fresh, from_new = fresh <= old;  /* no branches: which comes next is chance */
        to_key[found] = from_old ? old : fresh;
        to_mass[found] = (from_old ? mass[i] : 0.0) + (from_new ? new_mass[j] : 0.0);
        to_count[found] = (from_old ? count[i] : 0) + (from_new ? new_count[j] : 0);
        i += from_old;
        j += from_new;
    }
    size_t old_left = (size_t)(n - i), new_left = (size_t)(n_new - j);
    memcpy(to_key + found, key + i, old_left * sizeof *key);
    memcpy(to_mass + found, mass + i, old_left * sizeof *mass);
    memcpy(to_count + found, count + i, old_left * sizeof *count);
    memcpy(to_key + found, new_key + j, new_left * sizeof *key);
    memcpy(to_mass + found, new_mass + j, new_left * sizeof *mass);
    memcpy(to_count + found, new_count + j, new_left * sizeof *count);
    return found + (n - i) + (n_new - j);
}

/* Entries of one feature to be ranked: the smaller `rank`, the heavier; of equals the earlier. */
typedef struct {
    uint64_t rank;
    int64_t at;
} Entry;

static inline int before(const Entry *a, const Entry *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->at < b->at);
}

static int compare(const void *a, const void *b)
{
    return before(a, b) ? -1 : 1;
}

/* Puts the `keep` heaviest of n in front, in any order. */
static void heaviest_first(Entry *entry, int64_t n, int64_t keep)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        Entry middle = entry[(low + high) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (before(&entry[i], &middle))
                i++;
            while (before(&middle, &entry[j]))
                j--;
            if (i <= j) {
                Entry swap = entry[i];
                entry[i++] = entry[j];
                entry[j--] = swap;
            }
        }
        if (keep - 1 <= j)
            high = j;
        else if (keep - 1 >= i)
            low = i;
        else
            return;
    }
}

/* The end of the run of entries of the feature that entry `i` is of. */
static int64_t end_of_feature(int64_t n, const int64_t *key, int64_t i, int64_t n_grams)
{
    int64_t limit = (key[i] / n_grams + 1) * n_grams;
    while (i < n && key[i] < limit)
        i++;
    return i;
}

/* Room to cut the entries of one feature in; grows to the most that a feature has. */
typedef struct {
    Entry *entry;
    uint8_t *kept;
    int64_t *key;
    double *mass;
    int32_t *count;
    int64_t room;
} Bench;

static void clear(Bench *bench)
{
    free(bench->entry);
    free(bench->kept);
    free(bench->key);
    free(bench->mass);
    free(bench->count);
    memset(bench, 0, sizeof *bench);
}

/* 0 where there is no memory. */
static int make_room(Bench *bench, int64_t n)
{
    if (n <= bench->room)
        return 1;
    size_t room = 2 * (size_t)n;
    clear(bench);
    bench->entry = malloc(room * sizeof *bench->entry);
    bench->kept = malloc(room);
    bench->key = malloc(room * sizeof *bench->key);
    bench->mass = malloc(room * sizeof *bench->mass);
    bench->count = malloc(room * sizeof *bench->count);
    bench->room = (int64_t)room;
    return bench->entry && bench->kept && bench->key && bench->mass && bench->count;
}

/* The entries of one feature, cut to the `keep` heaviest in single precision where they are more than 2 `keep`; adds to
   its `error` the heaviest that is lost. Returns how many are left. */
static int64_t cut(const Bench *bench, int64_t n, const int64_t *key, const double *mass, const int32_t *count,
                   int64_t keep, double *error, int64_t *to_key, double *to_mass, int32_t *to_count)
{
    if (n <= 2 * keep) {
        memcpy(to_key, key, (size_t)n * sizeof *key);
        memcpy(to_mass, mass, (size_t)n * sizeof *mass);
        memcpy(to_count, count, (size_t)n * sizeof *count);
        return n;
    }
    for (int64_t i = 0; i < n; i++) {
        bench->entry[i].rank = (uint64_t)(0x7FFFFFFF - (int64_t)bits_of((float)mass[i]));
        bench->entry[i].at = i;
    }
    heaviest_first(bench->entry, n, keep);
    memset(bench->kept, 0, (size_t)n);
    for (int64_t i = 0; i < keep; i++)
        bench->kept[bench->entry[i].at] = 1;
    double lost = 0;
    int64_t left = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!bench->kept[i]) {
            lost = mass[i] > lost ? mass[i] : lost;
            continue;
        }
        to_key[left] = key[i];
        to_mass[left] = mass[i];
        to_count[left++] = count[i];
    }
    *error += lost;
    return left;
}

/* Cuts all features of a table. With `to_key` null only how many entries are left. -1 where there is no memory. */
int64_t prune_grams(int64_t n, const int64_t *key, const double *mass, const int32_t *count, int64_t n_grams,
                    int64_t keep, double *error, int64_t *to_key, double *to_mass, int32_t *to_count)
{
    Bench bench = {0};
    int64_t found = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        end = end_of_feature(n, key, i, n_grams);
        if (!to_key) {
            found += end - i > 2 * keep ? keep : end - i;
            continue;
        }
        if (!make_room(&bench, end - i)) {
            found = -1;
            break;
        }
        found += cut(&bench, end - i, key + i, mass + i, count + i, keep, &error[key[i] / n_grams], to_key + found,
                     to_mass + found, to_count + found);
    }
    clear(&bench);
    return found;
}

/* The sum of two tables, cut: a feature after the other, so that what is cut away is never written. With `to_key` null
   only how many entries are left. -1 where there is no memory. */
int64_t merge_and_prune(int64_t n, const int64_t *key, const double *mass, const int32_t *count, int64_t n_new,
                        const int64_t *new_key, const double *new_mass, const int32_t *new_count, int64_t n_grams,
                        int64_t keep, double *error, int64_t *to_key, double *to_mass, int32_t *to_count)
{
    Bench bench = {0};
    int64_t i = 0, j = 0, found = 0;
    while (i < n || j < n_new) {
        int64_t first = i < n && (j == n_new || key[i] < new_key[j]) ? key[i] : new_key[j];
        int64_t feature = first / n_grams, limit = (feature + 1) * n_grams, end = i, new_end = j;
        while (end < n && key[end] < limit)
            end++;
        while (new_end < n_new && new_key[new_end] < limit)
            new_end++;
        if (!to_key) {
            int64_t mine = merge_grams(end - i, key + i, NULL, NULL, new_end - j, new_key + j, NULL, NULL, NULL, NULL, NULL);
            found += mine > 2 * keep ? keep : mine;
        } else if (make_room(&bench, end - i + new_end - j)) {
            int64_t mine = merge_grams(end - i, key + i, mass + i, count + i, new_end - j, new_key + j, new_mass + j,
                                       new_count + j, bench.key, bench.mass, bench.count);
            found += cut(&bench, mine, bench.key, bench.mass, bench.count, keep, &error[feature], to_key + found,
                         to_mass + found, to_count + found);
        } else {
            found = -1;
            break;
        }
        i = end;
        j = new_end;
    }
    clear(&bench);
    return found;
}

/* The places of the `top` heaviest entries of each feature, heaviest first. -1 where there is no memory. */
int64_t heaviest_grams(int64_t n, const int64_t *key, const double *mass, int64_t n_grams, int64_t top, int64_t *index)
{
    Entry *entry = malloc(((size_t)n + 1) * sizeof *entry);
    int64_t found = 0;
    if (!entry)
        return -1;
    for (int64_t i = 0, end; i < n; i = end) {
        end = end_of_feature(n, key, i, n_grams);
        int64_t mine = end - i, taken = mine < top ? mine : top;
        for (int64_t j = 0; j < mine; j++) {
            int64_t bits;
            memcpy(&bits, mass + i + j, sizeof bits);
            entry[j].rank = (uint64_t)(INT64_MAX - bits);
            entry[j].at = i + j;
        }
        if (taken < mine)
            heaviest_first(entry, mine, taken);
        qsort(entry, (size_t)taken, sizeof *entry, compare);
        for (int64_t j = 0; j < taken; j++)
            index[found++] = entry[j].at;
    }
    free(entry);
    return found;
}
