"""Which files a source holds, and what each of them is."""
