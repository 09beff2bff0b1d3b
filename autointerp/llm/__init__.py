"""The LLM client layer: requests and replies, providers, limiter, reply log, batches, prices."""
