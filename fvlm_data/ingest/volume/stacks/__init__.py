"""From the slices of a series to stacks, each with its geometry proof or a fault."""
