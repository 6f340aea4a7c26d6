"""The latest orders, positions, accounts and ticks outside the process: adapters, what feeds them, what reads them."""
