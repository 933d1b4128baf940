"""The export `questions`: what the reports of a study answer."""
