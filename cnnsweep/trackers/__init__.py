"""Trackers, which show the metrics of a sweep in other programs, one file each; `base.py` has the contract."""
