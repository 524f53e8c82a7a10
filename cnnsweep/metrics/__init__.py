"""Metrics, one file each, and the objective of a sweep."""
