"""Photos, from where they lie to what the network sees."""
