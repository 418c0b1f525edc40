"""What is fast, against whom, measured how: ``python -m benchmarks`` runs everything and holds it to its bars."""
