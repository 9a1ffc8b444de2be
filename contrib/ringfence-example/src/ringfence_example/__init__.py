"""A data set, a model and a metric from outside. Each is an entry point; see pyproject.toml."""
