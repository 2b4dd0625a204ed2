"""Columns to arrays with a slot map, and back."""
