"""Models, one file a family, and the checks that a model passes before it trains."""
