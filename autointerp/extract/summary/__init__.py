"""What pass 1 keeps of each feature: counts, sums and samples of bounded size, which merge by adding.

This room imports neither the engines nor anything else of `extract`.
"""
