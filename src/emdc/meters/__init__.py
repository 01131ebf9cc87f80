"""What a register map means: from a spreadsheet to batch reads, and from words to values."""
