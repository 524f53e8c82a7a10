"""Which settings to try next: drawn from the space alone, or learnt from what those before have reached."""
