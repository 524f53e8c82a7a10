"""Where groups of runs are trained."""
