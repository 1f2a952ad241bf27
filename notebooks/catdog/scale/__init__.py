"""Past one machine: the same preprocessing, engines and models on Ray, for very many photos. Needs requirements-scale.txt."""
