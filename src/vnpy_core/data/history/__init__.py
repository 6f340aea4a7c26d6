"""History stores: ticks and bars."""
