"""Steps of pass 1 as loops in C, for CPUs with a C compiler at hand; everything they do is also written in torch.

library.py    built at first use, loaded, called
steps.py      the steps, from tensors to tensors
"""
