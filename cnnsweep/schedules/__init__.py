"""Learning rate schedules, one file each; `base.py` is their contract."""
