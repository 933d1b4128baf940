"""Looking at a store: what it proves, where a sample comes from."""
