"""The subject model, its tokens and the dictionaries under study."""
