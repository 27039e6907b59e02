"""``python -m postproc.cli``."""

from postproc.cli import main

main()
