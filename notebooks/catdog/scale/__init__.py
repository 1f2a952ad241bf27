"""Past one machine: the same door, engines and models on Ray, for very many photos. Needs requirements-scale.txt."""
