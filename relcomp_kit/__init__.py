"""relcomp_kit: relevance tells which weights of a network matter, and the kit compresses by it."""

__version__ = "0.1.0"
