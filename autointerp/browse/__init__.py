"""`autointerp browse`: a store as pages on localhost.

A page is a frozen dataclass that SQL fills (`*_data.py`), a template (`templates/`), and the same dataclass as JSON
behind the address. `app.py` has the addresses, `guard.py` who may ask, `server.py` the port. Nothing is loaded from
elsewhere, no script runs but `browse.js`, and nothing is written but a person's label (`label_form.py`).
"""
