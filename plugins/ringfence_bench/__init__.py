"""Finished runs as one table, its statistics, and reports of them. See docs/reports.md."""
