"""The sweep folder: journal, state, tables, checkpoints."""
