"""`autointerp export`: features of a store in other forms, and in the forms that other tools read.

`chosen.py` says which features, `autointerp/whole_files.py` writes a file or a folder whole or not at all, and each
form is a file of its name. What a feature is comes from the records of pages (`show/card_data.py`,
`browse/feature_data.py`).
"""
