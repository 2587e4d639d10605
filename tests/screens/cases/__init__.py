"""Worked cases for the editor of hypotheses: one that can be scrubbed, and one whose graph reads what no datum has."""
