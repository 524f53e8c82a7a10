"""The tuning loop: trials, sampling, grouping, pruning."""
