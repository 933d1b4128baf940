"""What a ward adds to fvlm: one of each kind."""
