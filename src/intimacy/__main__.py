"""``python -m intimacy``."""

from intimacy.cli import main

main(prog_name="intimacy")
