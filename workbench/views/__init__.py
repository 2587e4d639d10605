"""Views by address without a screen, a file each: see ``workbench.view``."""
