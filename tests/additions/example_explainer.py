"""An embedded explainer: the one heaviest token of each feature, and a lookup of that token alone."""

from __future__ import annotations

import numpy as np

from autointerp import EvidenceTables, Explained, Explanation, LookupTable


class Heaviest:
    """It fires on one token, with that token's mean activation."""

    def explain_all(self, tables: EvidenceTables) -> Explained:
        grams, said = tables.tokens, list[Explanation]()
        token, value = list[int](), list[float]()
        n_features = len(grams.start) - 1
        length = np.zeros(n_features, dtype=np.int64)
        for feature in tables.features.tolist():
            first, last = int(grams.start[feature]), int(grams.start[feature + 1])
            if first == last:
                said.append(Explanation(feature, "", "", "dead"))
                continue
            said.append(Explanation(feature, "", f'Fires on "{tables.vocabulary[grams.token[first]]}".', "ok"))
            length[feature] = 1
            token.append(int(grams.token[first]))
            value.append(float(grams.mass[first]) / max(int(grams.n_seen[first]), 1))
        lookup = LookupTable(
            start=np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
            previous=np.full(len(token), -1, np.int32),  # whatever stands before
            token=np.array(token, np.int32),
            value=np.array(value, np.float32),
            probability=np.ones(len(token), np.float32),
        )
        return Explained(said, lookup)
