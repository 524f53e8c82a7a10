"""Samplers: how a search chooses trials, one file each."""
