"""``python -m ringfence``: the command line."""

from ringfence.cli import main

main(prog_name="ringfence")
