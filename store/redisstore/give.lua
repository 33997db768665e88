-- Takes back what was counted. What has left its window, or is lost, is not there to be taken back.

local reply = {}
for i = 1, #KEYS do
  local r = request(i)
  local s = redis.call('GET', r.key)
  local c = kinds[r.kind].read(r, s)
  if s then
    kinds[r.kind].take(r, c, r.weight)
    save(r, c)
  end
  answer(reply, r, c, true, 0, 0)
end
return reply
