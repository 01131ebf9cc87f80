"""What each kind of database says differently. All else speaks to `dialect`."""
