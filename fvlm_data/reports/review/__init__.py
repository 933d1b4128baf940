"""Looking at what the parser read, correcting it, and scoring it."""
