"""What tokens of enormous norm do: the norms at each hook, and the exemplars that covariance directions share.

Directions drawn with the covariance of activations all point along its largest eigenvectors. Where a few tokens hold
most of the variance, those are the tokens' own direction, and all units have the same top exemplars.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from stored import rows

DIRECTIONS, TOP, N_TOKENS = 16, 10, "20_000"
COVARIANCE = "covariance"
"""What the dictionary is called."""


def with_covariance_directions(run_file: str, hook: str, *, exclude_outliers: bool) -> str:
    """A run file's subject and text, less of it, with DIRECTIONS covariance directions at the hook and nothing else."""
    head = re.sub(r"n_tokens = [\d_]+", f"n_tokens = {N_TOKENS}", run_file.partition("[[dictionary]]")[0])
    return (
        f'{head}[[dictionary]]\nname = "{COVARIANCE}"\nkind = "random_covariance"\nhook = "{hook}"\n'
        f"n_features = {DIRECTIONS}\n\n"
        f"[evidence]\nexclude_outliers = {str(exclude_outliers).lower()}\n\n"
        '[effects]\nfeatures = "none"\n'
    )


def shared(tops: Sequence[Collection[tuple[int, int]]]) -> float:
    """Of the top exemplars of two features, the share that both have; the mean over all pairs."""
    pairs = list(itertools.combinations(map(set, tops), 2))
    return sum(len(a & b) / max(min(len(a), len(b)), 1) for a, b in pairs) / max(len(pairs), 1)


def top_exemplars(store: Path) -> list[set[tuple[int, int]]]:
    """Context and position of the TOP strongest firings of each covariance direction."""
    sql = """
        SELECT feature, list(context ORDER BY rank) AS context, list(peak ORDER BY rank) AS peak FROM exemplars
        WHERE dictionary = $name AND split = 'explain' AND stratum = 'top' AND rank < $top
        GROUP BY feature ORDER BY feature
    """
    found = rows(store, sql, name=COVARIANCE, top=TOP)
    return [set(zip(row["context"], row["peak"], strict=True)) for row in found]


def norm_lines(store: Path) -> list[str]:
    """The norms at each hook of a store, a line each."""
    return [
        f"norms at {row['hook']}: median {row['median']:.4g}, largest {row['largest']:.4g}; {row['n_outliers']} of "
        f"{row['n_tokens']:,} tokens above {row['norm_limit']:.4g} hold {row['variance_share']:.1%} of the variance; "
        f"participation ratio {row['participation_all']:.1f} with them, {row['participation']:.1f} without"
        for row in rows(store, "SELECT * FROM hook_norms ORDER BY hook")
    ]


def sharing_line(before: float, after: float) -> str:
    """What leaving outliers out has changed."""
    return (
        f"top {TOP} exemplars that two of {DIRECTIONS} covariance directions share: {before:.1%} with tokens of "
        f"enormous norm, {after:.1%} without"
    )
