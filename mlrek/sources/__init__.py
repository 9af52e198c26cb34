"""Where bytes come from: the only input of the reading side."""
