"""Plans: batching of runs, cost model, scheduling. Pure functions without torch."""
