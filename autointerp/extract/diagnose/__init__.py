"""What a dictionary's features are like, beside what they mean: like which neurons, tokens alone, neighbours, clusters.

Of the rest of `extract` this room imports `summary/segments.py` only.
"""
