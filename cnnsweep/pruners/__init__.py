"""Pruners: rules that end runs early, one file each."""
