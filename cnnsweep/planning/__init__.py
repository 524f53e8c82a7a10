"""Which runs train together, and what it will take."""
