"""Training: the only part of streamqrs that needs torch."""

import os

# torch then asks for its large tensors in pages of 2 MB (Linux): a pass takes 0.92 of the time
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
