"""Quarter hours: made of stored readings by `energy.cells`, and kept."""
