"""Questions about what is stored. Nothing is written here."""
