"""What is wrong with the photos, and what you decided."""
