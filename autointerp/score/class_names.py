"""The classes of windows that the sample is drawn from, by number and by name.

T (the top windows), F1 to F5 (firing, by bins of the maximum), then the silent ones: E (some explanation of the feature
lists what stands there), M (one of the feature's heaviest tokens stands there), R (the others). E has a part for each
list, E, E2 to E8. All but these further parts make the first nine classes, so nine numbers are enough where there is
one list: functions over classes take any number of them from nine up.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

CLASSES = ("T", "F1", "F2", "F3", "F4", "F5", "E", "M", "R", "E2", "E3", "E4", "E5", "E6", "E7", "E8")
N_CLASSES = len(CLASSES)
TOP, FIRST_BIN, EXPLANATION, TOKEN, REST = 0, 1, 6, 7, 8
"""Class number of T, F1, E, M and R."""
FIRING = range(6)
LISTS = (EXPLANATION, *range(REST + 1, N_CLASSES))
"""The parts of E, in the order of their lists."""
N_LISTS = len(LISTS)
NOT_SAMPLED = -1
"""Class number of padding, of a window that has no prediction, and of a candidate outside the frames."""


def silent_classes(n_classes: int) -> tuple[int, ...]:
    """The silent ones among the first `n_classes`: the parts of E, M, R."""
    return (*(k for k in LISTS if k < n_classes), TOKEN, REST)


def class_numbers(names: Iterable[str]) -> npt.NDArray[np.int64]:
    """Class numbers of classes by name, as the column `class` of `simulations` has them."""
    return np.array([CLASSES.index(name) for name in names], dtype=np.int64)
