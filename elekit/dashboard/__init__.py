"""A notebook as a dashboard, see `elekit.dashboard.__main__` (floor 4)."""
