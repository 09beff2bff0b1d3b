"""Pages about a store: plain data first (`*_data`: SQL to frozen records), then a terminal rendering.

The browser shows the same records. Corpus text, labels and names are hostile until `text.visible` has
been over them; no string is ever parsed as rich markup. A page fits the width it is given: it leaves plots
out and sets columns under each other before it breaks a word.
"""
