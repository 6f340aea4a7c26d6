"""A bounded queue of records on disk that a ``kill -9`` does not empty."""
