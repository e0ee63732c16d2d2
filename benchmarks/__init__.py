"""What `make bench` measures, as ratios: each measured beside what it is compared with, in turn, in one run."""
