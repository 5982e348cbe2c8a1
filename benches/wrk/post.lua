-- POST as many bytes as the first argument says, and print what the run came to as one line.

function init(args)
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(args[1]))
  wrk.headers["Content-Type"] = "application/octet-stream"
end

-- Requests, then times in microseconds, then what went wrong.
function done(summary, latency)
  local errors = summary.errors
  print(string.format("sample %d %d %d %d %d", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
