-- What the scripts share: how a count is read, and what it says.
--
-- A count is one string. Times are microseconds of this server's clock, bytes are little-endian.
--   up to 32 in a sliding window   7 bytes for each unit: when it was admitted, oldest first
--   more in a sliding window       7 start of the current slot, 3 units in it, 3 units in the slots before,
--                                  3 for each slot before, newest first, as far back as there are units
--   token bucket                   7 when it was written, 7 how far it is ahead of the rate
-- A sliding window is cut into slots of a fifteenth, rounded up: the current slot and the 15 before it always
-- cover the last window, whatever the phase. That makes the limit strict.

local floor, ceil, min, max, sub, rep = math.floor, math.ceil, math.min, math.max, string.sub, string.rep
local pack, unpack = struct.pack, struct.unpack

local closed = 15 -- slots behind the current one
local exact = 32  -- the largest limit that is counted unit by unit

-- request reads the i-th request.
local function request(i)
  local limit, burst, window, weight, flags, interval, stamp = unpack('<I3I3I6I4I1I7I7', ARGV[i])
  local r = { key = KEYS[i], limit = limit, window = window, weight = weight, peek = flags % 2 == 1, stamp = stamp }
  if burst > 0 then
    r.kind, r.limit, r.interval, r.scale = 'bucket', burst, interval, flags >= 2 and 1 or 1000
  else
    r.kind, r.slot = limit <= exact and 'stamps' or 'slots', ceil(window / closed)
  end
  return r
end

-- Each kind of count has five functions:
--   read(r, s)          the count in the string s, or none, as of now
--   used(r, c)          how many units are in use, and in how many microseconds fewer will be
--   retry(r, c, excess) in how many microseconds excess units will have come back
--   add(r, c, weight)   counts
--   take(r, c, weight)  takes back what was counted at r.stamp
-- and write(r, c) returns the string and for how many microseconds it says something, or nothing.
-- A clock that was set back has not gone on, as far as a count knows: it is moved to the new time as it is, and
-- written even when nothing is counted. So it is neither lost nor stuck.
local kinds = {}

kinds.stamps = {
  read = function(r, s)
    local c = { s = s or '' }
    if not s then return c end
    local back = unpack('<I7', s, #s - 6) - now
    if back > 0 then
      local moved = {}
      for i = 1, #s, 7 do moved[#moved + 1] = pack('<I7', unpack('<I7', s, i) - back) end
      c.s, c.moved = table.concat(moved), true
    end
    local first = 1
    while first <= #c.s and unpack('<I7', c.s, first) + r.window <= now do first = first + 7 end
    c.s = sub(c.s, first)
    return c
  end,
  used = function(r, c)
    if c.s == '' then return 0, 0 end
    return #c.s / 7, unpack('<I7', c.s) + r.window - now
  end,
  retry = function(r, c, excess) return unpack('<I7', c.s, excess * 7 - 6) + r.window - now end,
  add = function(r, c, weight) c.s = c.s .. rep(pack('<I7', now), weight) end,
  take = function(r, c, weight)
    for i = 1, #c.s, 7 do
      if unpack('<I7', c.s, i) == r.stamp then
        local last = i
        while last < i + weight * 7 and last <= #c.s and unpack('<I7', c.s, last) == r.stamp do last = last + 7 end
        c.s = sub(c.s, 1, i - 1) .. sub(c.s, last)
        return
      end
    end
  end,
  write = function(r, c)
    if c.s ~= '' then return c.s, unpack('<I7', c.s, #c.s - 6) + r.window - now end
  end,
}

-- total adds up the units in the closed slots of c, and forgets the slots behind the last that holds any.
local function total(c)
  local last
  c.sum, last = 0, 0
  for i = 1, #c.closed, 3 do
    local n = unpack('<I3', c.closed, i)
    if n > 0 then c.sum, last = c.sum + n, i + 2 end
  end
  c.closed = sub(c.closed, 1, last)
end

kinds.slots = {
  read = function(r, s)
    local c = { at = now, n = 0, sum = 0, closed = '' }
    if not s then return c end
    local at, n, sum = unpack('<I7I3I3', s)
    local gone = floor((now - at) / r.slot)
    if gone > closed or n + sum == 0 then return c end -- an empty count begins a new grid
    c.at, c.n, c.sum, c.closed = at, n, sum, sub(s, 14)
    if gone < 0 then
      c.at, c.moved = now, true
    elseif gone == 0 then
      c.same = true -- the slot, hence all but the head of the string
    else
      c.at, c.n = at + gone * r.slot, 0
      c.closed = sub(rep('\0\0\0', gone - 1) .. pack('<I3', n) .. c.closed, 1, closed * 3)
      total(c)
    end
    return c
  end,
  used = function(r, c)
    local used = c.n + c.sum
    if used == 0 then return 0, 0 end
    return used, c.at + (closed + 1 - #c.closed / 3) * r.slot - now
  end,
  retry = function(r, c, excess)
    local i = #c.closed / 3
    while i > 0 do
      excess = excess - unpack('<I3', c.closed, i * 3 - 2)
      if excess <= 0 then break end
      i = i - 1
    end
    return c.at + (closed + 1 - i) * r.slot - now
  end,
  add = function(r, c, weight) c.n = c.n + weight end,
  take = function(r, c, weight)
    if r.stamp >= c.at then
      c.n = c.n - min(weight, c.n)
      return
    end
    local i = ceil((c.at - r.stamp) / r.slot) * 3 - 2
    if i > #c.closed then return end
    local n = unpack('<I3', c.closed, i)
    c.closed = sub(c.closed, 1, i - 1) .. pack('<I3', n - min(weight, n)) .. sub(c.closed, i + 3)
    c.same = false
    total(c)
  end,
  write = function(r, c)
    if c.n + c.sum == 0 then return end
    return pack('<I7I3I3', c.at, c.n, c.sum) .. c.closed, c.at + (closed + 1) * r.slot - now
  end,
}

kinds.bucket = {
  read = function(r, s)
    local c = { ahead = 0 }
    if not s then return c end
    local at, ahead = unpack('<I7I7', s)
    c.ahead, c.moved = max(0, ahead - max(0, now - at) * r.scale), at > now
    return c
  end,
  used = function(r, c)
    if c.ahead == 0 then return 0, 0 end
    local free = r.limit * r.interval - c.ahead
    local left = floor(free / r.interval)
    return r.limit - left, ceil(((left + 1) * r.interval - free) / r.scale)
  end,
  retry = function(r, c, excess)
    local free = r.limit * r.interval - c.ahead
    return ceil(((floor(free / r.interval) + excess) * r.interval - free) / r.scale)
  end,
  add = function(r, c, weight) c.ahead = c.ahead + weight * r.interval end,
  take = function(r, c, weight) c.ahead = max(0, c.ahead - weight * r.interval) end,
  write = function(r, c)
    if c.ahead > 0 then return pack('<I7I7', now, c.ahead), ceil(c.ahead / r.scale) end
  end,
}

-- save keeps the count, no longer than it says something.
local function save(r, c)
  local s, life = kinds[r.kind].write(r, c)
  if not s then
    redis.call('DEL', r.key)
  elseif c.same then
    redis.call('SETRANGE', r.key, 0, sub(s, 1, 13))
  else
    redis.call('SET', r.key, s, 'PX', ceil(life / 1000) + 1)
  end
end

-- answer adds to the reply what is said about a request: allowed, remaining, reset, retry, stamp.
local function answer(reply, r, c, allowed, retry, stamp)
  local used, reset = kinds[r.kind].used(r, c)
  local i = #reply
  reply[i + 1], reply[i + 2], reply[i + 3], reply[i + 4], reply[i + 5] =
    allowed and 1 or 0, max(0, r.limit - used), reset, retry, stamp
end
