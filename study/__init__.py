"""The long edition of the course's measurements: a plan, runs of hours, and their records (`make study`)."""
