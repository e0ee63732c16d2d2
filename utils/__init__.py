"""The plumbing of the course: what the notebooks import. Each module has one job (see CONTRIBUTING.md)."""
