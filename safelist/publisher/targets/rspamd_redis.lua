  -- The lists are one hash in Redis, whose field "!" names what was published. All names are asked for at once.
  local key, most, patience = "@KEY@", 20000, 1.0
  local lua_redis, log = require "lua_redis", require "rspamd_logger"
  local servers = lua_redis.parse_redis_server("safelist")
  local lists = {}

  -- What Redis has said of a mail; it is asked once, and for the next mail again, whatever came of it.
  local function answer_of(task) return task:cache_get("safelist_answer") or {} end

  local function keep(task, answer, and_then)
    if answer.fault then
      log.errx(task, "safelist: nobody is safe for this mail: %s", answer.fault)
    end
    task:cache_set("safelist_answer", answer)
    and_then()
  end

  -- What of the fields is there, which stand behind the hash's own name. What is not is no text.
  local function found_in(asked, values)
    local found = {}
    for at = 2, #asked do
      if type(values[at - 1]) == "string" then found[asked[at]] = values[at - 1] end
    end
    return found
  end

  local function answered(asked, fault, values, address)
    local place = address and address:get_addr():to_string(true) or "Redis"
    if fault or type(values) ~= "table" then
      return { place = place, fault = place .. ": " .. tostring(fault or "no answer") }
    end
    local found = found_in(asked, values)
    return { place = place, found = found, fault = not found["!"] and place .. ": there is no " .. key or nil }
  end

  function lists.ask(task, keys, and_then)
    if task:cache_get("safelist_answer") then
      return and_then()
    end
    local asked = { key, "!" }
    for _, each in ipairs(keys(task, most)) do asked[#asked + 1] = each end
    if not servers or #asked > most then
      local fault = servers and "it asks for too many names" or "local.d/redis.conf names no servers"
      return keep(task, { fault = fault }, and_then)
    end
    local is_sent = lua_redis.redis_make_request(task, servers, key, false, function(fault, values, address)
      keep(task, answered(asked, fault, values, address), and_then)
    end, "HMGET", asked, { timeout = patience })
    if not is_sent then
      keep(task, { fault = "Redis cannot be asked" }, and_then)
    end
  end

  function lists.are_read(task)
    local found = answer_of(task).found
    return found ~= nil and found["!"] ~= nil
  end

  function lists.value_of(task, name, recipient)
    return answer_of(task).found[(recipient and recipient .. "|" or "") .. name]
  end

  function lists.told(task)
    local answer = answer_of(task)
    return { "server=" .. (answer.place or "none"), "fault=" .. (answer.fault or ""),
      "published=" .. ((answer.found or {})["!"] or "") }
  end
