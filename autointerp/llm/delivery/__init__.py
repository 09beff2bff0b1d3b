"""The ways for many requests to travel at once: the providers' batch APIs, and files that are answered elsewhere.

Each is a `session.courier.Courier`. This room imports `asks`, `wire`, `money` and `session`; no other room of `llm`
imports it: the pipeline chooses a courier and gives it to the session.
"""
