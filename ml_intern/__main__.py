"""`python -m ml_intern`."""

from ml_intern.cli import main

main()
