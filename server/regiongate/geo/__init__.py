"""Where an address is: databases that can be trusted, and what they say."""

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.layouts import Location, Path
from regiongate.geo.locate import Locator

__all__ = ["Database", "DatabaseError", "Location", "Locator", "Path"]
