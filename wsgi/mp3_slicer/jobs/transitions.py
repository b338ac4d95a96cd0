"""The transitions of a job, as scripts that Redis runs atomically, by its own clock.

A job is a hash. Every job that is queued or running is also in the sorted set `active`, with the time in milliseconds of its next check:
for a running one the expiry of its lease, which its worker renews. The list `outbox` has the names of jobs with updates to publish. The
hash `counts` has the numbers of jobs opened and ended, by lane and state, and the milliseconds of work on them: counters that never fall,
for metrics.

`active:<lane>` has the jobs of a lane that are queued or running. `client:<name>` has those of a client, with the time until which they
count against its share: cancelled ones too, while the broker has their messages.

Several clients may wait for a job. `asks` is their number, and each field `t:<token>` is one of them that can withdraw.
"""

#: Tokens of a job at most; later clients cannot cancel it.
MOST_TOKENS = 100

_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

#: `leave` takes a job out of those that are queued or running; `counts` is the time in milliseconds that it counts against its client.
_LEAVE = """
local function leave(job, active, id, counts)
    redis.call('ZREM', active, id)
    local fields = redis.call('HMGET', job, 'lane', 'client')
    if fields[1] then
        redis.call('ZREM', active .. ':' .. fields[1], id)
    end
    if fields[2] and fields[2] ~= '' then
        if counts > 0 then
            redis.call('ZADD', fields[2], now + counts, id)
        else
            redis.call('ZREM', fields[2], id)
        end
    end
end
"""

#: KEYS job, active, outbox, counts, client (none if unknown). ARGV id, order, lane, most active in a lane, seconds to keep,
#: "1" to repeat a job that is done, the ID of the client's request, a token ("" for none), most of a client, most tokens,
#: the traceparent of the request ("" for none).
#: Returns what became of it: "new" (it must be sent), "unsent" (it was accepted before and must be sent), "known", "full", or "share" where
#: the client has too many; when that was, in milliseconds; and the fields of the job, names and values in turns.
OPEN = (
    _NOW
    + """
local function became(what)
    return {what, now, redis.call('HGETALL', KEYS[1])}
end
local function asked()
    local asks = redis.call('HINCRBY', KEYS[1], 'asks', 1)
    if ARGV[8] ~= '' and asks <= tonumber(ARGV[10]) then
        redis.call('HSET', KEYS[1], 't:' .. ARGV[8], '1')
    end
end
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'queued' then
    asked()
    return became(redis.call('HGET', KEYS[1], 'sent') == '1' and 'known' or 'unsent')
end
if state == 'running' then
    asked()
    return became('known')
end
if state == 'done' and ARGV[6] ~= '1' then
    return became('known')
end
-- A job that failed because of its request fails again; one that failed because of the server may not.
if state == 'failed' and redis.call('HGET', KEYS[1], 'hopeless') == '1' then
    return became('known')
end
local lane = KEYS[2] .. ':' .. ARGV[3]
if redis.call('ZCARD', lane) >= tonumber(ARGV[4]) then
    return became('full')
end
if KEYS[5] then
    redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
    if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[9]) then
        return became('share')
    end
    redis.call('ZADD', KEYS[5], now + ARGV[5] * 1000, ARGV[1])
    redis.call('EXPIRE', KEYS[5], ARGV[5])
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'client', KEYS[5] or '')
asked()
redis.call('ZADD', lane, now, ARGV[1])
redis.call('HSET', KEYS[1], 'request', ARGV[7], 'trace', ARGV[11])
redis.call('HSET', KEYS[1], 'order', ARGV[2], 'lane', ARGV[3], 'state', 'queued', 'asked', now, 'sent', '0', 'sends', '0', 'attempts', '0')
redis.call('HINCRBY', KEYS[4], ARGV[3] .. ':opened', 1)
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[2], now + 2000, ARGV[1])
return became('new')
"""
)

#: KEYS job, active. ARGV id, milliseconds until its next check (doubled with each time it is sent, up to an hour).
SENT = (
    _NOW
    + """
if redis.call('HGET', KEYS[1], 'state') ~= 'queued' then
    return 0
end
redis.call('HSET', KEYS[1], 'sent', '1')
local sends = redis.call('HINCRBY', KEYS[1], 'sends', 1)
redis.call('ZADD', KEYS[2], now + math.min(3600000, ARGV[2] * 2 ^ (sends - 1)), ARGV[1])
return 1
"""
)

#: KEYS job, active, outbox, counts. ARGV id, token of the worker, milliseconds of the lease, most attempts, problem, seconds to keep.
#: Returns the order of a job that is this worker's now, and the ID and traceparent of its request; or nothing: another worker has it, or
#: it needs no work.
CLAIM = (
    _NOW
    + _LEAVE
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'running' then
    if tonumber(redis.call('HGET', KEYS[1], 'lease')) > now then
        return false
    end
elseif state ~= 'queued' then
    return false
end
local attempts = redis.call('HINCRBY', KEYS[1], 'attempts', 1)
if attempts > tonumber(ARGV[4]) then
    redis.call('HSET', KEYS[1], 'state', 'failed', 'finished', now, 'problem', ARGV[5], 'hopeless', '0')
    redis.call('EXPIRE', KEYS[1], ARGV[6])
    leave(KEYS[1], KEYS[2], ARGV[1], 0)
    redis.call('LPUSH', KEYS[3], ARGV[1])
    redis.call('HINCRBY', KEYS[4], redis.call('HGET', KEYS[1], 'lane') .. ':failed', 1)
    return false
end
redis.call('HSET', KEYS[1], 'state', 'running', 'started', now, 'token', ARGV[2], 'lease', now + ARGV[3], 'progress', '0')
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('LPUSH', KEYS[3], ARGV[1])
return {redis.call('HGET', KEYS[1], 'order'), redis.call('HGET', KEYS[1], 'request') or '', redis.call('HGET', KEYS[1], 'trace') or ''}
"""
)

#: KEYS job, active, outbox. ARGV id, token, milliseconds of the lease, progress. Returns 1 while the job is this worker's, else 0.
BEAT = (
    _NOW
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] or (state ~= 'running' and state ~= 'queued') then
    return 0
end
-- While Redis was away the lease may have expired and the job been queued again: no worker has taken it yet, so it goes on here.
redis.call('HSET', KEYS[1], 'state', 'running', 'lease', now + ARGV[3], 'progress', ARGV[4])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('LPUSH', KEYS[3], ARGV[1])
redis.call('LTRIM', KEYS[3], 0, 9999)
return 1
"""
)

#: KEYS job, active, outbox, counts. ARGV id, token, state, problem, "1" where another try would fail too, seconds to keep.
#: Returns 1 if the state was set, 0 if this worker had lost the job.
FINISH = (
    _NOW
    + _LEAVE
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] or (state ~= 'running' and state ~= 'queued') then
    return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'finished', now, 'problem', ARGV[4], 'hopeless', ARGV[5])
redis.call('HDEL', KEYS[1], 'token', 'lease')
if ARGV[3] == 'done' then
    redis.call('HSET', KEYS[1], 'progress', '1')
end
local lane = redis.call('HGET', KEYS[1], 'lane')
redis.call('HINCRBY', KEYS[4], lane .. ':' .. ARGV[3], 1)
redis.call('HINCRBY', KEYS[4], lane .. ':milliseconds', math.max(0, now - tonumber(redis.call('HGET', KEYS[1], 'started'))))
redis.call('EXPIRE', KEYS[1], ARGV[6])
leave(KEYS[1], KEYS[2], ARGV[1], 0)
redis.call('LPUSH', KEYS[3], ARGV[1])
redis.call('LTRIM', KEYS[3], 0, 9999)
return 1
"""
)

#: KEYS job, active, outbox, counts. ARGV id, seconds to keep, a token ("" cancels for all clients). Returns "cancelled", "left" if others
#: wait for it, "final" if it had ended, "token" if the token is none of its; nothing if there is no such job.
CANCEL = (
    _NOW
    + _LEAVE
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then
    return false
end
local field = 't:' .. ARGV[3]
if ARGV[3] ~= '' and redis.call('HEXISTS', KEYS[1], field) == 0 then
    return 'token'
end
if state ~= 'queued' and state ~= 'running' then
    return 'final'
end
if ARGV[3] ~= '' and tonumber(redis.call('HGET', KEYS[1], 'asks') or '1') > 1 then
    redis.call('HDEL', KEYS[1], field)
    redis.call('HINCRBY', KEYS[1], 'asks', -1)
    return 'left'
end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'finished', now)
redis.call('HDEL', KEYS[1], 'token', 'lease')
redis.call('EXPIRE', KEYS[1], ARGV[2])
leave(KEYS[1], KEYS[2], ARGV[1], ARGV[2] * 1000)
redis.call('LPUSH', KEYS[3], ARGV[1])
redis.call('LTRIM', KEYS[3], 0, 9999)
redis.call('HINCRBY', KEYS[4], redis.call('HGET', KEYS[1], 'lane') .. ':cancelled', 1)
return 'cancelled'
"""
)

#: KEYS active. ARGV prefix of the keys of jobs, most jobs at once, milliseconds in which no other caller gets the same ones,
#: the lanes.
#: Returns id and lane, in turns, of jobs that must be sent: they were never sent, their message is overdue, or their worker is gone.
OVERDUE = (
    _NOW
    + """
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
    local key = ARGV[1] .. id
    local state = redis.call('HGET', key, 'state')
    if state == 'queued' or state == 'running' then
        if state == 'running' then
            redis.call('HSET', key, 'state', 'queued', 'sends', '0')
        end
        redis.call('HSET', key, 'sent', '0')
        redis.call('ZADD', KEYS[1], now + ARGV[3], id)
        found[#found + 1] = id
        found[#found + 1] = redis.call('HGET', key, 'lane')
    else
        redis.call('ZREM', KEYS[1], id)
        for lane in string.gmatch(ARGV[4], '%a+') do
            redis.call('ZREM', KEYS[1] .. ':' .. lane, id)
        end
    end
end
return found
"""
)

#: KEYS active. ARGV prefix of the keys of jobs, most jobs that are looked at. Returns lane and state, in turns, of each.
CENSUS = """
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
    local fields = redis.call('HMGET', ARGV[1] .. id, 'lane', 'state')
    if fields[1] and fields[2] then
        found[#found + 1] = fields[1]
        found[#found + 1] = fields[2]
    end
end
return found
"""
