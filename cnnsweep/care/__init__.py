"""Looking after an installation and what sweeps leave behind: checking, mending, cleaning."""
