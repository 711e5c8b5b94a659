"""Keys in Redis or Valkey: the store of a fleet."""

from regiongate.keys.stores.redis.register import RedisRegister
from regiongate.keys.stores.redis.source import RedisSource

__all__ = ["RedisRegister", "RedisSource"]
