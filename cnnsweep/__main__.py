"""`python -m cnnsweep` is `cnnsweep`."""

from cnnsweep.cli import main

main()
