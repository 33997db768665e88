-- The one moment of the call, in microseconds of this server's clock.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

