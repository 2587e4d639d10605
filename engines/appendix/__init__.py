"""Worked cases of causal scrubbing, one file each with the constant ``DEMO``; ``engines.demo`` says what a case is."""
