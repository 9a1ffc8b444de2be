"""The tables of papers as commands: ``ringfence reproduce``. See docs/reproduce.md."""
