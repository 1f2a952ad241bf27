"""Problems with the photos, and the user's decisions."""
