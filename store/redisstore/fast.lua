-- The most frequent call, before anything is set up for the others: all counts are of slots, in the same slot as
-- before, and have room. It does what take.lua does, in half of the time.
local reply, heads, fast = {}, {}, true
for i = 1, #KEYS do
  local key = KEYS[i]
  local limit, burst, window, weight, flags = struct.unpack('<I3I3I6I4I1', ARGV[i])
  local s = burst == 0 and limit > 32 and heads[key] == nil and redis.call('GET', key)
  if not s then fast = false break end
  local at, n, sum = struct.unpack('<I7I3I3', s)
  local slot = math.ceil(window / 15)
  fast = at <= now and now < at + slot and n + sum > 0 and n + sum + weight <= limit
  if not fast then break end
  heads[key] = false
  local stamp = 0
  if flags % 2 == 0 then
    n, stamp = n + weight, now
    heads[key] = struct.pack('<I7I3I3', at, n, sum)
  end
  local j = #reply
  reply[j + 1], reply[j + 2], reply[j + 3], reply[j + 4], reply[j + 5] =
    1, limit - n - sum, at + (16 - (#s - 13) / 3) * slot - now, 0, stamp
end
if fast then
  for key, head in pairs(heads) do
    if head then redis.call('SETRANGE', key, 0, head) end
  end
  return reply
end
