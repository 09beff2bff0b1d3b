"""A store from Python and in notebooks: `autointerp.open_store`.

`stored.py` is the store, which opens its file for each question and lets go; `result_table.py` what a question of many
rows gets; `feature_html.py` a feature as HTML that needs nothing else, which `export html` writes too.
"""
