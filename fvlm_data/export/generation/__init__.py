"""The export `report-generation`: what a report can be written from, and the report."""
