"""Image encoders that learn from unlabelled samples: views, methods, the run."""
