"""Beyond one machine: the same code on Ray, for very many photos. Needs requirements-scale.txt."""
