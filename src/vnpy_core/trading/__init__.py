"""Trading: order submission, and what stands before it."""
