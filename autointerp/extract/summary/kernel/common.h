/* What the files of the kernel share. All arrays are contiguous; their types are those that pass 1 keeps. */
#ifndef AUTOINTERP_COMMON_H
#define AUTOINTERP_COMMON_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define OCTAVES 32
#define LOWEST (-16)

/* SplitMix64's finaliser, as in autointerp/hashing.py. */
static inline uint64_t mix(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

static inline int32_t bits_of(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline int32_t clamp(int32_t value, int32_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

static inline int32_t octave_of(float value)
{
    return clamp((bits_of(value) >> 23) - (127 + LOWEST), OCTAVES - 1);
}

/* The larger, and not a number where either is none. */
static inline float larger(float a, float b)
{
    return isnan(b) || a < b ? b : a;
}

#endif
