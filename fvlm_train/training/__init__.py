"""Training: steps, the loss, corrected targets, ranks."""
