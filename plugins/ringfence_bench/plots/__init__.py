"""Plots of a table of runs, one kind a module; the same table gives the same bytes."""
