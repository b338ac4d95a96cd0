"""The catalogue: what files are called and what is said in them, to be searched. One process builds it, any number read it.

What reads it knows `Catalogue` alone, so another engine can take its place.
"""

from mp3_slicer.catalogue.query import Query, QueryError
from mp3_slicer.catalogue.reader import Catalogue, CatalogueError, CatalogueTimeoutError, Found, Hit, Named, Page

__all__ = [
    "Catalogue",
    "CatalogueError",
    "CatalogueTimeoutError",
    "Found",
    "Hit",
    "Named",
    "Page",
    "Query",
    "QueryError",
]
