"""Results -> matplotlib figures: no pyplot, no files."""
