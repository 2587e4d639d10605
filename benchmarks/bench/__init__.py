"""What the benchmarks share: how they time and print, the naive path, and a network larger than compiled ones."""
