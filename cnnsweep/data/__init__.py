"""Data sets: uint8 images in memory or streamed, split, normalised and augmented."""
