"""Export `outcome`: a row a study, of what image, clinic and report tell, and what came of it."""
