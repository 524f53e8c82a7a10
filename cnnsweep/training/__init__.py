"""The loop that trains a group of K runs."""
