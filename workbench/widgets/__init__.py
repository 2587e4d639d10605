"""Widgets that draw arrays, tables, series and tokens, and know no nouns."""
