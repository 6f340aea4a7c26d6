"""Data files: what their columns and times mean, and how they are read."""
