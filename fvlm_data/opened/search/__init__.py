"""A small language in which studies are searched: `left pleural effusion > 20 mm, age > 60`."""
