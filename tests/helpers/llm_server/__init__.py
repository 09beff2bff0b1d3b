"""A server of both APIs for tests: scripted answers, injected faults, and a count of what would be billed.

    python -m llm_server [SETTINGS AS JSON]        in tests/helpers: prints its port, serves until killed

POST /v1/messages, /v1/chat/completions, /v1/completions (echo), /v1/decisions, and files and batches of both APIs;
GET /count, POST /settings, POST /change.

An answer is a function of the request; whether a request meets a fault is a function of (seed, request, how many times
it was seen). Everything that was generated is counted as billed under the request's hash; where the reply never
arrived whole, it is counted as `lost` too, because no client can know what it cost.
"""
