"""The client of one run: `client.Session` gives an answer for every ask, and keeps every reply in the log first.

An errand is one ask on its way; a route is what it needs to reach one model; a stream is one call of `ask_all`. Whoever
carries requests in batches or files is known here by the protocol `courier.Courier` only. This room imports `asks`,
`wire` and `money`; delivery imports it, and it never imports delivery.
"""
