-- Counts all requests, or none if one of them does not fit.

local reqs, counts, fits, fit = {}, {}, {}, true
for i = 1, #KEYS do
  local r = request(i)
  local c = counts[r.key]
  if not c then
    c = kinds[r.kind].read(r, redis.call('GET', r.key))
    c.used, c.asked = kinds[r.kind].used(r, c), 0
    counts[r.key] = c
  end
  -- Requests of one call that name the same count add up.
  r.total = c.asked + r.weight
  if not r.peek then c.asked = r.total end
  reqs[i], fits[i] = r, c.used + r.total <= r.limit
  fit = fit and fits[i]
end

if fit then
  for i = 1, #reqs do
    local r = reqs[i]
    if not r.peek then kinds[r.kind].add(r, counts[r.key], r.weight) end
  end
end

reply = {}
for i = 1, #reqs do
  local r = reqs[i]
  local c = counts[r.key]
  if not c.saved and (c.moved or fit and c.asked > 0) then
    save(r, c)
    c.saved = true
  end
  local retry = 0
  if not fits[i] then
    retry = r.total > r.limit and r.window or kinds[r.kind].retry(r, c, c.used + r.total - r.limit)
  end
  answer(reply, r, c, fits[i], retry, fit and not r.peek and now or 0)
end
return reply
