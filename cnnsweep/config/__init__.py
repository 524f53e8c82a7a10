"""The sweep file: YAML text to a checked `SweepSpec`, and from that to runs. Imports no torch."""
