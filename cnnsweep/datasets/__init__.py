"""Data sets, one file each, and what they share: download, cache, decode, split."""
