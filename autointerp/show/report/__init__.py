"""The report of a comparison: one HTML file that needs nothing else.

`questions.py` asks the store, `sections.py` and `plots.py` turn answers into markup by `html.py` and `charts.py`,
`page.py` puts them together. What stands under a heading comes from the statements that are shown there on demand.
"""
