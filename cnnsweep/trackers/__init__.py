"""Trackers: where metrics are logged beside the sweep folder, one file each."""
