"""Results -> the text files of a run: CSV, JSON and the classification report. Pure, no files."""
