"""What a sweep's results say: read from its files, ranked, summed up, and written out for people and programs."""
