"""`autointerp browse`: a store as pages on localhost.

A page is a frozen dataclass that SQL fills (`*_data.py`), a template (`templates/`), and the same dataclass as JSON
behind the address. `app.py` has the addresses, `guard.py` who may ask, `server.py` the port. Nothing is written,
nothing is loaded from elsewhere, and no script runs.
"""
