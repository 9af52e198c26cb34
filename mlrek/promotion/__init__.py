"""Is a version better, and may it be promoted: read, compare, check, promote, verify."""
