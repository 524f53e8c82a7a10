"""Analysis of a sweep's results: statistics, effects, importance, comparison. No text, no charts."""
