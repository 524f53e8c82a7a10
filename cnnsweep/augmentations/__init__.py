"""Random changes to training images, one file each; `base.py` is their contract."""
