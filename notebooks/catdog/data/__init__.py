"""Photos: finding, reading, checking, splitting and preprocessing them."""
