"""Networks, one file a family, and the checks that a network passes before it trains."""
