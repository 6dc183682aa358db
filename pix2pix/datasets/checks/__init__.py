"""Faults of A|B pairs: measurements of each pair, and the rules that find faults in them."""
