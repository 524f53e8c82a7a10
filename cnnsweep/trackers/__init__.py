"""Trackers: they show the metrics of a sweep in other programs. One file each; `base.py` has the contract."""
