"""Executors: this process, local worker processes, a Ray cluster."""
