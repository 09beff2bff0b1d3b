"""From activations to evidence: one pass over the tokens, a mergeable summary a dictionary."""
