"""A program whose catalogue entry is never compiled."""
