"""Reports in the terminal, as Markdown, CSV and JSON."""
