  -- The lists are two maps; a line of theirs is a key and, behind a !, what it says.
  local path, hash = "@PATH@", require "rspamd_cryptobox_hash"

  local function map(file)
    return rspamd_config:add_map({ url = file, type = "map", description = "safelist: who is safe" })
  end
  local everybody, recipients = map(path), map(path .. ".recipients")

  -- Whether rspamd has read a map, be it empty. Without the one of recipients their exceptions were unknown.
  local function is_read(file) return tostring(file:get_data_digest()) ~= "0" end

  -- A sum over a map's keys, in whatever order they come. Of more it would keep mail waiting.
  local function sum_of_keys(file)
    local sum = 0
    if not is_read(file) or file:get_nelts() > 100000 then
      return "unknown"
    end
    for key in pairs(file:get_stats(false)) do
      sum = (sum + tonumber(hash.create(key):hex():sub(1, 12), 16)) % 2 ^ 48
    end
    return ("%012x"):format(sum)
  end

  -- What has been read of a map, and whether it could be read again: at its start rspamd is root, and never after it.
  local function told(name, file, place)
    local opened = io.open(place)
    if opened then opened:close() end
    return { name .. "=" .. (is_read(file) and file:get_nelts() or "no"), name .. "_sum=" .. sum_of_keys(file),
      name .. "_opens=" .. tostring(opened ~= nil) }
  end

  local lists = {}

  function lists.ask(_, _, and_then) and_then() end

  function lists.are_read() return is_read(everybody) and is_read(recipients) end

  function lists.value_of(_, name, recipient)
    local file, key = recipient and recipients or everybody, (recipient and recipient .. "|" or "") .. name
    for _, value in ipairs({ "exception", "dkim-or-spf", "spf", "none" }) do
      if file:get_key(key .. "!" .. value) then
        return value
      end
    end
  end

  function lists.told()
    local said = told("everybody", everybody, path)
    for _, each in ipairs(told("recipients", recipients, path .. ".recipients")) do said[#said + 1] = each end
    return said
  end
