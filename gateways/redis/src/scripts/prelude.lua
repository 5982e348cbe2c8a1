-- What scripts see. It gets the functions that are in Rust, and adds those that make the world of one run.
local tools = ...

local collectgarbage, error, getmetatable, pcall, rawset = collectgarbage, error, getmetatable, pcall, rawset
local setmetatable, tostring, type, xpcall = setmetatable, tostring, type, xpcall
local create, resume, sort, concat = coroutine.create, coroutine.resume, table.sort, table.concat
local alive, caught, caught_table, compile = tools.alive, tools.caught, tools.caught_table, tools.compile

local READONLY = "Attempt to modify a readonly table"

local function readonly()
  error(READONLY, 2)
end

-- Whoever catches an error gets it as a script of Redis would, unless the script must end.
local function after(ok, ...)
  if ok then
    return true, ...
  end
  return false, caught((...))
end

local function after_handler(ok, ...)
  if not ok then
    alive()
  end
  return ok, ...
end

local base = {
  _VERSION = _VERSION,
  assert = assert,
  error = error,
  gcinfo = gcinfo,
  ipairs = ipairs,
  next = next,
  pairs = pairs,
  rawequal = rawequal,
  rawget = rawget,
  select = select,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = unpack,
}

function base.pcall(...)
  return after(pcall(...))
end

function base.xpcall(f, handler)
  return after_handler(xpcall(f, function(e)
    return handler(caught_table(e))
  end))
end

function base.rawset(t, k, v)
  if getmetatable(t) == false then
    error(READONLY, 0)
  end
  return rawset(t, k, v)
end

-- What is ours says `false` here: it is not shown.
function base.getmetatable(t)
  return getmetatable(t) or nil
end

function base.setmetatable(t, metatable)
  if type(metatable) == "table" then
    -- What Lua would run at some later time, perhaps in another script.
    if rawget(metatable, "__gc") ~= nil then
      error("__gc is not supported", 2)
    end
  end
  return setmetatable(t, metatable)
end

function base.collectgarbage(what)
  alive()
  if what == "count" then
    return collectgarbage("count")
  end
  collectgarbage("collect")
  return 0
end

-- Each coroutine has a limit of its own for how deep it goes into C: they are not nested deeper than this.
local RESUMED_MAX = 5
local resumed = 0

local function resumed_once(...)
  resumed = resumed - 1
  return ...
end

local function resume_bounded(...)
  if resumed >= RESUMED_MAX then
    return false, "C stack overflow"
  end
  resumed = resumed + 1
  return resumed_once(resume(...))
end

coroutine.resume = function(...)
  return after(resume_bounded(...))
end

local function or_raise(ok, ...)
  if ok then
    return ...
  end
  error((...), 0)
end

coroutine.wrap = function(f)
  local made = create(f)
  return function(...)
    return or_raise(resume_bounded(made, ...))
  end
end

-- The comparing is always done in Lua, so that it is watched.
table.sort = function(t, is_before)
  if is_before == nil then
    return sort(t, function(a, b)
      return a < b
    end)
  end
  return sort(t, function(a, b)
    return is_before(a, b)
  end)
end

setmetatable(base, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})

-- A library cannot be changed: each run gets an empty table that stands for it.
local metatables = {}
for name, library in pairs(tools.libraries) do
  metatables[name] = { __index = library, __newindex = readonly, __metatable = false }
end
local redis_metatable = { __index = tools.redis, __newindex = readonly, __metatable = false }
getmetatable("").__metatable = false

-- The pieces that a function gives, one after the other.
local function pieces(f)
  local all = {}
  while true do
    local piece = f()
    if piece == nil or piece == "" then
      return concat(all)
    end
    if type(piece) ~= "string" then
      error("reader function must return a string", 0)
    end
    all[#all + 1] = piece
  end
end

local base_metatable = { __index = base }

function tools.environment(keys, argv, call, protected_call)
  resumed = 0
  local globals = setmetatable({ KEYS = keys, ARGV = argv }, base_metatable)
  for name, metatable in pairs(metatables) do
    globals[name] = setmetatable({}, metatable)
  end
  local redis = setmetatable({ call = call, pcall = protected_call }, redis_metatable)
  globals.redis = setmetatable({}, { __index = redis, __newindex = readonly, __metatable = false })
  local environment = setmetatable({}, { __index = globals, __newindex = readonly, __metatable = false })
  globals._G = environment
  function globals.loadstring(source, name)
    return compile(source, name, environment)
  end
  function globals.load(f, name)
    return compile(pieces(f), name or "=(load)", environment)
  end
  return environment
end

function tools.run(f, handler)
  return xpcall(f, handler)
end
