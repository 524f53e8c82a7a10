"""Numbers, columns and escaping for terminal, page and CSV."""
