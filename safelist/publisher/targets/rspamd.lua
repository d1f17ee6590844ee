do -- safelist: whoever is safe for a recipient, and proves to be that sender, is rejected by no DNSBL
  local every_recipient = @EVERY_RECIPIENT@

@LISTS@
  -- The local part without its quotes. rspamd drops backslashes that are quoted themselves.
  local function user_of(address)
    local quoted = address.flags and address.flags.backslash and address.raw:match('"(.*)"@')
    return quoted and quoted:gsub("\\(.)", "%1") or address.user or ""
  end

  -- How the files write a local part: what could mean something there is a % and two hexadecimal digits.
  local function escaped(text)
    return (text:lower():gsub("[^%w._+=-]", function(char) return ("%%%02x"):format(char:byte()) end))
  end

  local tag = ("%d"):rep(4) .. ("[%da-f]"):rep(6)
  -- The local part behind a tag that a mail server makes anew every day (BATV).
  local function untagged(user)
    local found = not user:match("^prvs=" .. tag .. "=") and user:match("^prvs=(.+)[=/]" .. tag .. "$")
    return found or user:match("^prvs=[^=]+=(.+)$") or user:match("^msprvs1=[^=]+=(.+)$")
      or user:match("^btv1==[^=]+==(.+)$") or user:match("^(.+)%+prvs=" .. tag .. "$")
  end

  -- The address, its domain, and the domains that this is a sub-domain of, the most specific first.
  local function names(address)
    local user, domain = user_of(address):lower(), (address.domain or ""):lower():gsub("%.$", "")
    local found = {}
    if user == "" or not domain:match("^[%w_-]+%.[%w_.-]*%w$") or domain:find("..", 1, true) then
      return found
    end
    while user do
      found[#found + 1] = escaped(user) .. "@" .. domain
      user = untagged(user)
    end
    found[#found + 1] = domain
    local parent = "." .. domain
    while parent:find(".", 2, true) do
      found[#found + 1] = parent
      parent = parent:match("^%.[^.]+(.+)$")
    end
    return found
  end

  -- The one sender of the kind as it came. rspamd cuts +tags and Gmail's dots off what it rates: another address.
  local function sender(task, kind)
    local rated, came = task:get_from(kind) or {}, task:get_from({ kind, "orig" }) or {}
    if #rated == 1 and came[1] and (came[1].domain or ""):lower() == (rated[1].domain or ""):lower() then
      return names(came[1])
    end
    return {}
  end

  -- The recipients as they came; "orig" has those that rspamd has made of them behind them.
  local function receivers(task)
    local rated, came = task:get_recipients("smtp") or {}, task:get_recipients({ "smtp", "orig" }) or {}
    local found = {}
    for at = 1, #came > #rated and #came - #rated or #came do
      found[at] = escaped(user_of(came[at])) .. "@" .. (came[at].domain or ""):lower()
    end
    return found
  end

  -- Each identity proves itself: the envelope's sender by SPF, the header's From by DMARC.
  local function identities(task)
    local spf, dmarc = task:has_symbol("R_SPF_ALLOW"), task:has_symbol("DMARC_POLICY_ALLOW")
    return {
      { names = sender(task, "smtp"), proves = { ["dkim-or-spf"] = spf, spf = spf, none = true } },
      { names = sender(task, "mime"), proves = { ["dkim-or-spf"] = dmarc, none = true } },
    }
  end

  -- All that the lists are asked for: as many keys as `most`, or one more where there are more.
  local function keys(task, most)
    local found, seen, to = {}, {}, receivers(task)
    local function add(key)
      if not seen[key] and #found <= most then
        seen[key], found[#found + 1] = true, key
      end
    end
    for _, identity in ipairs(identities(task)) do
      for _, name in ipairs(identity.names) do
        add(name)
        for _, recipient in ipairs(to) do add(recipient .. "|" .. name) end
      end
    end
    return found
  end

  -- What the lists say of the first of these names that they have; without a recipient, for everybody.
  local function look_up(task, names_, recipient)
    for _, name in ipairs(names_) do
      local value = lists.value_of(task, name, recipient)
      if value then
        return value, name
      end
    end
  end

  -- What the lists say of an identity for a recipient, and by which name; the recipient's own word before everybody's.
  local function ruling(task, recipient, identity)
    local value, name = look_up(task, identity.names, recipient)
    if value then
      return value, name, value == "exception"
    end
    value, name = look_up(task, identity.names)
    return value, name, false
  end

  -- Whether a recipient trusts the sender, is told of one who proves nothing, or has blocked it.
  local function asked(task, recipient, found)
    local proven, unproven
    for _, identity in ipairs(found) do
      local value, name, is_blocked = ruling(task, recipient, identity)
      if is_blocked then
        return nil, nil, true
      end
      if value and value ~= "exception" then
        local pair = recipient .. "|" .. name
        if identity.proves[value] then proven = proven or pair else unproven = unproven or pair end
      end
    end
    return proven, unproven, false
  end

  -- The pairs by which the sender is safe, those by which it would be, how many recipients, and whether one blocks it.
  local function rulings(task)
    local found, to = identities(task), lists.are_read(task) and receivers(task) or {}
    local proven, unproven, is_blocked = {}, {}, false
    for _, recipient in ipairs(to) do
      local safe, claimed, blocked = asked(task, recipient, found)
      proven[#proven + 1], is_blocked = safe, is_blocked or blocked
      unproven[#unproven + 1] = not safe and claimed or nil
    end
    return proven, unproven, #to, is_blocked
  end

  -- rspamd asks nothing more of a mail that weighs enough to be rejected; of one whose weight may be taken away it must.
  local function let_all_be_asked(task)
    lists.ask(task, keys, function()
      local proven, unproven = rulings(task)
      if #proven + #unproven > 0 then
        task:set_flag("pass_all")
      end
    end)
  end

  local function tell(task)
    local function is_checked(symbol) return tostring(rspamd_config:get_symbol_parent(symbol) ~= nil) end
    local said = { "@DIGEST@", "spf=" .. is_checked("R_SPF_ALLOW"), "dmarc=" .. is_checked("DMARC_POLICY_ALLOW") }
    for _, each in ipairs(lists.told(task)) do said[#said + 1] = each end
    task:insert_result("SAFELIST_READ", 1.0, said)
  end

  local function judge(task)
    local proven, unproven, recipient_count, is_blocked = rulings(task)
    if #proven > 0 and not is_blocked and (#proven == recipient_count or not every_recipient) then
      task:insert_result("SAFELIST", 1.0, proven)
    end
    if #unproven > 0 then
      task:insert_result("SAFELIST_UNPROVEN", 1.0, unproven)
    end
    if task:get_request_header("Safelist-Check") then -- `safelist check rspamd` asks
      tell(task)
    end
  end

  local function check(task)
    lists.ask(task, keys, function() judge(task) end)
  end

  rspamd_config:register_symbol({ name = "SAFELIST_ALL_ASKED", type = "prefilter", flags = "empty",
    group = "safelist", score = 0.0, callback = let_all_be_asked })
  local id = rspamd_config:register_symbol({ name = "SAFELIST_CHECK", type = "callback", flags = "empty",
    group = "safelist", score = 0.0, callback = check })
  for name, description in pairs({
    SAFELIST = "safe for a recipient, and proven by SPF or DMARC",
    SAFELIST_UNPROVEN = "safe for a recipient, if it were proven",
    SAFELIST_READ = "what safelist's rule has read",
  }) do
    rspamd_config:register_symbol({ name = name, type = "virtual", parent = id, group = "safelist", score = 0.0,
      description = description })
  end
  rspamd_config:register_dependency("SAFELIST_CHECK", "SPF_CHECK")
  rspamd_config:register_dependency("SAFELIST_CHECK", "DMARC_CHECK")

  -- rspamd counts lists of URLs and of addresses to the group "rbl", too: the DNSBLs in it get a group of their own.
  local function group_dnsbls()
    local others = {}
    for _, symbol in ipairs(rspamd_config:get_group_symbols("surbl") or {}) do
      others[symbol] = true
    end
    for _, symbol in ipairs(rspamd_config:get_group_symbols("rbl") or {}) do
      local rated = rspamd_config:get_metric_symbol(symbol)
      if rated and rated.score > 0 and not others[symbol] then
        rspamd_config:set_metric_symbol({ name = symbol, group = "safelist_dnsbl" })
      end
    end
  end

  rspamd_config:add_post_init(group_dnsbls) -- when the modules have named theirs
  rspamd_config:add_composite("SAFELIST_LIFTED", "-SAFELIST & ^g+:safelist_dnsbl")
end
