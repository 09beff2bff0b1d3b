"""From evidence to explanations: LLM prompts and what their replies say, and the explainers that need no LLM.

Nothing here reads a store, sends a request or loads torch. Of `llm` it knows `asks` only.
"""
