-- One bet of one wallet: all of it happens, or nothing does.
--
-- KEYS  1 the wallet, a hash of `seq`, `nonce` (the last one used) and a balance by currency
--       2 what is remembered of the request id
-- ARGV  1 currency   2 stake   3 payout   4 payout of a win   5 nonce
--       6 how long the request id is remembered, in seconds   7 what to remember with it
--
-- Answers {0, seq, balance} for a new bet, {1, what is remembered} for a known request id,
-- {2, balance} if that does not cover the stake, {3} if a win would not fit into a wallet, and
-- {4, nonce} if the nonce was used before. Amounts are integers below 2^53, which Lua has exactly;
-- only `..` and `tostring` would round them.
local wallet = redis.call('HMGET', KEYS[1], ARGV[1], 'seq', 'nonce')
local balance, seq, nonce = tonumber(wallet[1] or 0), tonumber(wallet[2]), tonumber(wallet[3])
local stake = tonumber(ARGV[2])

local refusal
if balance < stake then
  refusal = {2, balance}
elseif balance - stake + tonumber(ARGV[4]) > 9007199254740991 then
  refusal = {3}
elseif tonumber(ARGV[5]) <= nonce then
  refusal = {4, nonce}
end
if refusal then
  local known = redis.call('GET', KEYS[2])
  return known and {1, known} or refusal
end

balance = balance - stake + tonumber(ARGV[3])
seq = seq + 1
local remembered = string.format('%.0f:%.0f:', seq, balance) .. ARGV[7]
if not redis.call('SET', KEYS[2], remembered, 'EX', ARGV[6], 'NX') then
  return {1, redis.call('GET', KEYS[2])}
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', balance),
           'seq', string.format('%.0f', seq), 'nonce', ARGV[5])
return {0, seq, balance}
