"""From the text of a sweep file to a checked `SweepSpec`, and from that to its runs; without torch."""
