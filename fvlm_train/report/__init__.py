"""What a run tells people: curves of its steps, a table of them, a model card."""
