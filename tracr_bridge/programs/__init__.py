"""RASP programs of known circuit, one a file with the constant PROGRAM."""
