"""What a person sees while a sweep runs: a live table, plain lines, or next to nothing."""
