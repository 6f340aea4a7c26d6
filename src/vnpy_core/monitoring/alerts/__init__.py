"""What an operator must know: rules on metrics and events, the life of an alert, and the channels that tell of it."""
