"""Asking LLMs: one client over both providers, where no money and no reply is lost.

    asks        the contract: Ask in, Answer out
    lengths     bounds on how many tokens a text has
    wire/       ask -> request body; reply body -> status; the SDKs
    money/      tokens -> dollars; what may still be spent; what asks will cost
    session/    the client: one ask until it ends, one `ask_all`, what they share
    delivery/   the ways for many requests to travel at once: batch APIs and files

A room imports `asks` and the rooms above it in this list, never one below. The settings of a model are a section of the
run file (`config/llm_model.py`). A reply is paid for once: it is committed to the reply log (`reply_log.ReplyLog`)
before anybody sees it.
"""
