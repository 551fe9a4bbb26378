"""`python -m streams.cli` is `anabranch`."""

from streams.cli import main

main()
