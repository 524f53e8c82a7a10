"""Data sets, one file each, and their shared parts: download, cache, decode, split."""
