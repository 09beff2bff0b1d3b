"""Asking LLMs: one client over both providers, where no money and no reply is lost.

    asks          the contract: Ask in, Answer out
    models        settings of one model, a section of the run file
    capabilities  what a (provider, model) takes; capabilities.toml
    render        Ask -> request body, and its hash          pure
    replies       reply body -> text, usage, tokens          pure
    structured    strict validation of JSON replies          pure
    text          text that can be kept                      pure
    outcome       reply -> status                            pure
    faults        what an HTTP status means: wait, try again, give up, stop
    limiter       how many requests may be out; shared by all that use a server
    connection    the SDKs, lazily
    prices        tokens -> dollars
    budget        what may still be spent
    calibration   tokens a character, by model
    probe         does the server do what it is asked for?
    calling       one ask until it ends
    filed         requests and replies as JSONL in the providers' batch formats
    courier       other ways to travel than one by one: files
    batch         the providers' batch APIs
    shared        what the streams of a session share
    stream        one ask_all
    client        Session: ask_all
    estimate      what asks will cost

A reply is paid for once: it is committed to the reply log before anybody sees it (`calls.ReplyLog`).
"""
