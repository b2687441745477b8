-- For wrk: each connection asks for the backup status of a file system drawn at random, waits a while, and asks again.
-- usage: wrk ... -s poll.lua URL -- FILE-SYSTEMS PAUSE-MILLISECONDS
local paths, pause = {}, 0

function init(arguments)
  math.randomseed(os.time())
  pause = tonumber(arguments[2])
  for index = 0, tonumber(arguments[1]) - 1 do
    paths[#paths + 1] = wrk.format("GET", "/fs/FS" .. index .. "/config?name=Raven%2FBackup%2FStatus")
  end
end

function request() return paths[math.random(#paths)] end

-- Half to one and a half of the pause, so that clients do not come in step.
function delay() return pause / 2 + math.random(pause) end

function done(summary, latency, requests)
  local errors = summary.errors
  local function milliseconds(share) return latency:percentile(share) / 1000 end
  io.write(string.format(
    'RESULT {"statusRequests": %d, "connectErrors": %d, "readErrors": %d, "writeErrors": %d, "timeouts": %d, ' ..
    '"otherStatuses": %d, "p50Milliseconds": %.2f, "p90Milliseconds": %.2f, "p99Milliseconds": %.2f, ' ..
    '"p999Milliseconds": %.2f, "maximumMilliseconds": %.2f}\n',
    summary.requests, errors.connect, errors.read, errors.write, errors.timeout, errors.status, milliseconds(50),
    milliseconds(90), milliseconds(99), milliseconds(99.9), latency.max / 1000))
end
