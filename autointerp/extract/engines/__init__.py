"""Who does pass 1, in what portions and with which checkpoints; no row depends on it.

`job` says what has to be done, `local` and `ray` do it, `choose` picks one by the run file, and `whole` does it in one
call for small programs and tests. These files import `summary`; nothing in `summary` imports them.
"""
