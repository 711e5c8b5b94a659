"""Keys in an SQLite file: the embedded store, for one machine and any number of its processes."""

from regiongate.keys.stores.sqlite.beginning import begun
from regiongate.keys.stores.sqlite.database import Location
from regiongate.keys.stores.sqlite.register import SqliteRegister
from regiongate.keys.stores.sqlite.source import SqliteSource

__all__ = ["Location", "SqliteRegister", "SqliteSource", "begun"]
