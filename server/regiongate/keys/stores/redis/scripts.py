"""What the server does as a whole, in Lua (https://redis.io/docs/latest/develop/programmability/).

A script is not interrupted, and everything it looks at is looked at before anything is written: a
change is made in full or refused. KEYS[1] is the prefix of all names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from regiongate.keys.stores.redis.server import PREFIX

FIND: Final = """
-- ARGV: digests. Returns for each its entry, its organisation and that one's entry.
local prefix, found = KEYS[1], {}
for i, digest in ipairs(ARGV) do
  local key = redis.call('HMGET', prefix..'key:'..digest, 'entry', 'org', 'import')
  found[i] = {}
  if key[1] and not (key[3] and redis.call('HEXISTS', prefix..'imports', key[3]) == 1) then
    local org = key[2] or ''
    found[i] = {key[1], org, org ~= '' and redis.call('HGET', prefix..'org:'..org, 'entry') or ''}
  end
end
return found
"""

_SHARED: Final = """
local prefix = KEYS[1]
local told = cjson.decode(ARGV[1])

local function pending(import)
  return import and redis.call('HEXISTS', prefix..'imports', import) == 1
end

local function place(kind, id)
  if kind == 'organisation' then return prefix..'org:'..id, '' end
  local digest = redis.call('HGET', prefix..'ids', id) or ''
  return prefix..'key:'..digest, digest
end

local function kept(kind, id)
  local name, digest = place(kind, id)
  if kind == 'key' and digest == '' then return {revision = 0, digest = ''} end
  local row = redis.call('HMGET', name, 'revision', 'entry', 'added', 'org', 'import')
  return {
    revision = tonumber(row[1] or '0'), entry = row[2] or '', added = row[3],
    org = row[4] or '', import = row[5], digest = digest,
  }
end

local function number()
  redis.call('SETNX', prefix..'lineage', told.lineage)
  return redis.call('INCR', prefix..'number')
end

local function record(n, kind, id, new, old, before, after)
  local note = told.note
  redis.call('XADD', prefix..'history', n..'-0', 'at', note.at, 'who', note.who,
    'what', note.what, 'why', note.why, 'kind', kind, 'id', id, 'digest', new,
    'old_digest', old, 'before', before, 'after', after)
  if kind == 'key' or kind == 'organisation' then
    redis.call('RPUSH', prefix..'history:'..kind..':'..id, n)
  end
end

local function remove_key(old, id)
  redis.call('DEL', prefix..'key:'..old.digest)
  redis.call('HDEL', prefix..'ids', id)
  if old.org ~= '' then redis.call('HINCRBY', prefix..'orgs', old.org, -1) end
end

local function put_key(c, n, added, import)
  local name = prefix..'key:'..c.digest
  redis.call('HSET', name, 'entry', c.entry, 'id', c.id, 'org', c.org, 'revision', n,
    'added', added)
  if import then redis.call('HSET', name, 'import', import) end
  redis.call('HSET', prefix..'ids', c.id, c.digest)
  if c.org ~= '' then redis.call('HINCRBY', prefix..'orgs', c.org, 1) end
end

local function put_organisation(c, n, added, import)
  local name = prefix..'org:'..c.id
  redis.call('HSET', name, 'entry', c.entry, 'revision', n, 'added', added)
  if import then redis.call('HSET', name, 'import', import) end
  redis.call('HSETNX', prefix..'orgs', c.id, 0)
end

local function forgive(id)
  for _, rule in ipairs(redis.call('SMEMBERS', prefix..'struck:'..id)) do
    redis.call('DEL', prefix..'strikes:'..rule..':'..id)
  end
  redis.call('DEL', prefix..'struck:'..id)
  -- Strikes from before may still be on their way.
  redis.call('SET', prefix..'forgiven:'..id, told.note.seconds, 'EX', 86400)
end

-- Returns why a change does not fit, or nil.
local function misfit(c, old, fresh)
  if old.revision ~= c.revision then
    return c.revision == 0 and 'new' or old.revision == 0 and 'gone' or 'changed'
  end
  if c.kind == 'key' and c.entry ~= '' then
    if c.org ~= '' and not fresh[c.org]
      and redis.call('EXISTS', prefix..'org:'..c.org) == 0 then return 'organisation' end
    if c.digest ~= old.digest
      and redis.call('EXISTS', prefix..'key:'..c.digest) == 1 then return 'digest' end
  end
  if c.kind == 'organisation' and c.entry == ''
    and tonumber(redis.call('HGET', prefix..'orgs', c.id) or '0') > 0 then return 'members' end
end

local function apply(c, old)
  if c.forgive then forgive(c.id) end
  if old.revision ~= 0 and old.entry == c.entry then return end
  local n = number()
  record(n, c.kind, c.id, c.digest, old.digest, old.entry or '', c.entry)
  if c.kind == 'key' then
    if old.revision ~= 0 then remove_key(old, c.id) end
    if c.entry ~= '' then put_key(c, n, old.added or n) end
  elseif c.entry ~= '' then
    put_organisation(c, n, old.added or n)
  else
    redis.call('DEL', prefix..'org:'..c.id)
    redis.call('HDEL', prefix..'orgs', c.id)
  end
end

-- Makes all changes, or none; returns the first that does not fit, and why.
local function commit(changes)
  local olds, fresh, digests = {}, {}, {}
  for i, c in ipairs(changes) do
    olds[i] = kept(c.kind, c.id)
    local why = misfit(c, olds[i], fresh)
    if c.kind == 'key' and c.entry ~= '' then
      if digests[c.digest] then why = why or 'digest' end
      digests[c.digest] = true
    elseif c.kind == 'organisation' then
      fresh[c.id] = c.entry ~= ''
    end
    if why then return {i, why} end
  end
  for i, c in ipairs(changes) do apply(c, olds[i]) end
  return {}
end
"""

COMMIT: Final = f"{_SHARED}\nreturn commit(told.changes)"

KEPT: Final = f"""{_SHARED}
-- Returns entry, revision and number of the change that added it.
local old = kept(told.kind, told.id)
if old.revision == 0 or pending(old.import) then return {{}} end
return {{old.entry, old.revision, tonumber(old.added)}}
"""

BEGIN: Final = f"""{_SHARED}
-- Begins an import, unless another is under way; returns its number, and those to be undone.
if not redis.call('SET', prefix..'importing', told.token, 'NX', 'EX', told.seconds) then
  return {{}}
end
local left = redis.call('HKEYS', prefix..'imports')
local n = number()
redis.call('HSET', prefix..'imports', n, 1)
return {{n, left}}
"""

LOAD: Final = f"""{_SHARED}
-- Adds entries to an import; returns those that do not fit, and why.
if redis.call('GET', prefix..'importing') ~= told.token then
  return redis.error_reply('the import took too long and another one has begun')
end
redis.call('EXPIRE', prefix..'importing', told.seconds)
local refused = {{}}
for i, c in ipairs(told.changes) do
  local old = kept(c.kind, c.id)
  c.revision = 0
  local why = misfit(c, old, {{}})
  if why == 'new' and told.replace then
    local function is_revoked(entry) return cjson.decode(entry).status == 'revoked' end
    why = old.revision == told.number and 'twice' or old.entry == c.entry and 'same'
      or c.kind == 'key' and is_revoked(old.entry) and not is_revoked(c.entry) and 'revoked'
      or 'there'
  end
  if why then
    refused[#refused + 1] = {{i, why, old.revision}}
  else
    if c.kind == 'key' then put_key(c, told.number, told.number, told.number)
    else put_organisation(c, told.number, told.number, told.number) end
    redis.call('RPUSH', prefix..'import:'..told.number, c.kind..':'..c.id)
  end
end
return refused
"""

FINISH: Final = f"""{_SHARED}
-- Puts an import in force, with what it replaces.
if redis.call('GET', prefix..'importing') ~= told.token then
  return redis.error_reply('the import took too long and another one has begun')
end
local refused = commit(told.changes)
if #refused > 0 then return refused end
-- A number of its own, as the history went on meanwhile.
local n = number()
record(n, 'import', tostring(told.count), '', '', '', '')
redis.call('HSET', prefix..'imported', told.number, n)
redis.call('HDEL', prefix..'imports', told.number)
redis.call('DEL', prefix..'import:'..told.number, prefix..'importing')
return {{}}
"""

UNDO: Final = f"""{_SHARED}
-- Undoes a part of an import that is not finished; returns how much is left.
local names = redis.call('LPOP', prefix..'import:'..told.number, 1000) or {{}}
for _, name in ipairs(names) do
  local kind, id = string.match(name, '^(%a+):(.*)$')
  local old = kept(kind, id)
  if kind == 'key' then remove_key(old, id)
  else
    redis.call('DEL', prefix..'org:'..id)
    redis.call('HDEL', prefix..'orgs', id)
  end
end
local left = redis.call('LLEN', prefix..'import:'..told.number)
if left == 0 then
  redis.call('HDEL', prefix..'imports', told.number)
  if redis.call('GET', prefix..'importing') == told.token then
    redis.call('DEL', prefix..'importing')
  end
end
return left
"""

PRUNE: Final = f"""{_SHARED}
-- Forgets some of the oldest lines of the history, before a moment; returns how many.
local lines = redis.call('XRANGE', prefix..'history', '-', '+', 'COUNT', 500)
local last = redis.call('XREVRANGE', prefix..'history', '+', '-', 'COUNT', 1)
local forgotten = 0
for _, line in ipairs(lines) do
  local fields = {{}}
  for j = 1, #line[2], 2 do fields[line[2][j]] = line[2][j + 1] end
  -- Moments are in UTC, and compare as text. Readers know their place by the last line.
  if fields.at >= told.before or line[1] == last[1][1] then break end
  redis.call('XDEL', prefix..'history', line[1])
  if fields.kind ~= 'import' then
    local name = prefix..'history:'..fields.kind..':'..fields.id
    redis.call('LREM', name, 1, string.match(line[1], '^%d+'))
  end
  forgotten = forgotten + 1
end
return forgotten
"""

NOTE: Final = f"""{_SHARED}
-- Adds a line to the history that is no change.
record(number(), 'history', told.id, '', '', '', '')
"""

STRIKE: Final = """
-- ARGV: rule, key, seconds of the window, then moment and member of each strike.
-- Returns all that count, as members and moments.
local prefix, rule, id, within = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local name = prefix..'strikes:'..rule..':'..id
local forgiven = tonumber(redis.call('GET', prefix..'forgiven:'..id) or '0')
for i = 4, #ARGV, 2 do
  if tonumber(ARGV[i]) > forgiven then redis.call('ZADD', name, 'NX', ARGV[i], ARGV[i + 1]) end
end
local last = tonumber(redis.call('ZREVRANGE', name, 0, 0, 'WITHSCORES')[2] or '')
if not last then return {} end
redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('%.6f', last - within))
redis.call('SADD', prefix..'struck:'..id, rule)
redis.call('EXPIRE', name, math.ceil(within))
if redis.call('TTL', prefix..'struck:'..id) < within then
  redis.call('EXPIRE', prefix..'struck:'..id, math.ceil(within))
end
return redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
"""

_SHA: Final[dict[str, str]] = {}


async def run(client: Redis, script: str, arguments: Sequence[str]) -> Any:
    """Run a script by its digest, and hand it in where the server does not know it yet."""
    digest = _SHA.get(script) or _SHA.setdefault(
        script, hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    )
    try:
        return await client.evalsha(digest, 1, PREFIX, *arguments)
    except NoScriptError:
        return await client.eval(script, 1, PREFIX, *arguments)
