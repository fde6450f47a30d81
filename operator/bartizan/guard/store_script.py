"""What the store runs, whole or not at all: every window of a request judged and charged in one round trip.

The arithmetic is that of policy.limits and policy.tokens, in microseconds of the store's own clock: all guards read one
clock. A charge is rounded up to the microsecond. An endpoint has two keys with one hash tag, so that a cluster keeps
them together:

    bartizan:{UID}         hash: when each window's charges will have leaked out, and what is held; by client, tier, all
    bartizan:{UID}:leases  sorted set: requests under way, by when they are given up

With a request a guard tells what it knew to be charged, in case the store has forgotten it, and what it has given
itself while the store was away. A lease that nobody settled, since its guard is gone, is charged in full: nobody knows
what it cost.
"""


class StoreError(Exception):
    """The store did not answer in time, or not as it should; whether it did what it was asked is not known."""


HOLD, SETTLE, RELEASE = "hold", "settle", "release"
TOLERANCE_US = 500_000
"""By how much less than a guard knows the store may say is charged: more than an answer may be late."""
NEVER, AWAITS_OTHERS = -1, -2
"""In place of a wait."""

SCRIPT = (
    """
local operation, member, client, tier = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lifetime, input, output, flag = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local windows, own = {}, {}
local function kind(window)
  return window.what == 'r' and 'r' or 't'
end
for at = 9, #ARGV, 7 do
  local window = {
    scope = ARGV[at], tier = ARGV[at + 1], what = ARGV[at + 2], limit = tonumber(ARGV[at + 3]),
    span = tonumber(ARGV[at + 4]) * 1000000, known = tonumber(ARGV[at + 5]), owed = tonumber(ARGV[at + 6]),
    seconds = ARGV[at + 4],
  }
  windows[#windows + 1] = window
  if window.scope == 'c' then own[kind(window) .. window.tier] = true end
end
local function holds(window, of)
  if window.scope == 'e' then return true end
  if window.scope == 't' then return window.tier == of end
  return window.tier == (own[kind(window) .. of] and of or '')
end
local function owner(window, who)
  if window.scope == 'c' then return who end
  return window.scope == 't' and '/' .. window.tier or ''
end

local read, changed = {}, {}
local function get(field)
  if not read[field] then read[field] = tonumber(redis.call('HGET', KEYS[1], field) or '0') end
  return read[field]
end
local function set(field, value)
  read[field], changed[field] = value, true
end
local function name(window, who)
  return window.what .. ':' .. window.seconds .. ':' .. owner(window, who)
end
local function amount(window, requests, i, o)
  if window.what == 'r' then return requests end
  return (window.what == 'o' and 0 or i) + (window.what == 'i' and 0 or o)
end
local function add(window, who, cost)
  if cost > 0 then
    local field = name(window, who)
    set(field, math.max(get(field), now) + math.ceil(cost * window.span / window.limit))
  end
end
local function charge(who, of, requests, i, o)
  for _, window in ipairs(windows) do
    if holds(window, of) then add(window, who, amount(window, requests, i, o)) end
  end
end
local function hold(who, of, i, o)
  for _, whose in ipairs(of == '' and {who, ''} or {who, '/' .. of, ''}) do
    set('hi:' .. whose, math.max(0, get('hi:' .. whose) + i))
    set('ho:' .. whose, math.max(0, get('ho:' .. whose) + o))
  end
end
local function held(window)
  local whose = owner(window, client)
  return amount(window, 0, get('hi:' .. whose), get('ho:' .. whose))
end
local function give_up(lease)
  if redis.call('ZREM', KEYS[2], lease) == 0 then return nil end
  local i, o, of, who = lease:match('^[^:]*:(%d+):(%d+):([^:]*):(.*)$')
  if not i then return nil end
  hold(who, of, -tonumber(i), -tonumber(o))
  return who, of, tonumber(i), tonumber(o)
end

for _, lease in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do
  local who, of, i, o = give_up(lease)
  if who then charge(who, of, 0, i, o) end
end

local function wait(window)
  if not holds(window, tier) then return 0 end
  local need = amount(window, 1, input, output)
  if need == 0 then return 0 end
  if need > window.limit then return -1 end
  local room = window.limit - held(window) - need
  if room < 0 then return -2 end
  local ahead = math.max(0, get(name(window, client)) - now)
  if ahead * window.limit <= room * window.span then return 0 end
  return math.max(1, math.ceil(ahead - room * window.span / window.limit))
end

local answer, waits = {1}, {}
if operation == 'hold' then
  for _, window in ipairs(windows) do
    local field = name(window, client)
    if holds(window, tier) and window.known > 0 and now + window.known > get(field) + """
    + str(TOLERANCE_US)
    + """ then set(field, now + window.known) end
    add(window, client, window.owed)
  end
  for number, window in ipairs(windows) do
    waits[number] = wait(window)
    if waits[number] ~= 0 then answer[1] = 0 end
  end
  if answer[1] == 1 then
    charge(client, tier, 1, 0, 0)
    hold(client, tier, input, output)
    redis.call('ZADD', KEYS[2], now + lifetime, member)
  end
else
  local was_there = give_up(member) ~= nil
  if operation == 'settle' and (was_there or flag == '1') then charge(client, tier, 0, input, output) end
end
for number, window in ipairs(windows) do
  answer[#answer + 1] = waits[number] or 0
  answer[#answer + 1] = math.max(0, get(name(window, client)) - now)
end

local fields = {}
for field in pairs(changed) do
  fields[#fields + 1] = field
  fields[#fields + 1] = string.format('%.0f', read[field])
end
if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
redis.call('PEXPIRE', KEYS[1], 172800000)
redis.call('PEXPIRE', KEYS[2], 172800000)
return answer
"""
)
