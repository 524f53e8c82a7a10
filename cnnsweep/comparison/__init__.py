"""Several sweeps beside each other: their settings ranked, what they share, in what they differ."""
