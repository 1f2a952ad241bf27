"""A trained model, on disk and in memory."""
