"""Data: journal, read model, SQL, history."""
