"""What goes over the wire: an ask becomes a request body, a body becomes a reply, a reply becomes a status.

All of it is pure but `connection`, which holds the SDKs. `capabilities` says what a model takes, `faults` what an HTTP
status means. This room imports `asks` and no other room of `llm`; money, session and delivery import it.
"""
