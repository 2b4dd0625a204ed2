"""Ways to fill missing cells, one class each, all on one matrix: numbers as they are, dates in seconds, levels as their place."""
