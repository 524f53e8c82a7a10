"""Evaluation, prediction and export of a checkpoint."""
