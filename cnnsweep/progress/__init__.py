"""Progress of a sweep: live table, plain lines, notebook, `watch`."""
