"""Where an address is: databases that can be trusted, and what they say."""

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.gate import Gate, Role
from regiongate.geo.layouts import Layout, Location, read
from regiongate.geo.locate import Locator

__all__ = ["Database", "DatabaseError", "Gate", "Layout", "Location", "Locator", "Role", "read"]
