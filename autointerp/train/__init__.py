"""How everything in `autointerp/bundled/` was made: one module a step, in the order of `all.py`."""
