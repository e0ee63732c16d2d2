"""What is promised to be fast, as ratios; `make bench` runs it."""
