"""From slices to a proved volume: grouping, geometry, HU, and its row and file."""
