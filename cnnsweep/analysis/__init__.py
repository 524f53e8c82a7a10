"""Analysis of a sweep's results: statistics, effects, importance, comparison, and the content of every chart."""
