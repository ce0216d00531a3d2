"""What each peer does with its own library."""
