"""Catalogues and activity to play with; fetched at run time, never part of this project."""
