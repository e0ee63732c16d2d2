"""What the Makefile calls, each as `python -m tools.NAME` from the project's folder."""
