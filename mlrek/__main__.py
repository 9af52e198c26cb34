"""`python -m mlrek`."""

from mlrek.cli import main

main()
