"""From activations to evidence: one pass over the tokens, a mergeable summary a dictionary.

Pass 1 (`engines`) feeds summaries (`summary`); what they kept becomes exemplars; pass 2 hands every activation of the
score split to scoring; `effects` and `diagnose` look at the dictionary itself. Nothing here reads or writes a store.
"""
