"""K networks of one architecture as a single module."""
