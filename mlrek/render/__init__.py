"""Results -> what people see: blocks, tables, pages, files."""
