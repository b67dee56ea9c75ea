"""Labelling by people: which threads next, and what their labels say of a creator."""
