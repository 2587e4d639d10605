"""Worked cases: one whose numbers agree, and one with a number that does not."""
