"""Tables of rows that are written as they come and continued after an interruption."""
