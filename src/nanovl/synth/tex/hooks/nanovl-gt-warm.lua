-- Makes what the engine reads at every start quick to read: its Lua files compiled, and the modules
-- that parse Unicode's data files stored as they are after parsing. Run by documents of this package
-- alone, with TEXGT_START naming the folder to fill. Changes nothing in the running engine.
-- Source: data synthesis specification, section 3.5.

local folder = os.getenv("TEXGT_START")
local format, concat = string.format, table.concat

local function write(path, data)
  local file = assert(io.open(path, "wb"))
  assert(file:write(data))
  file:close()
end

-- Compiled Lua -------------------------------------------------------------------------------

local function compile_folder(of)
  local first = kpse.find_file(of, "lua") or kpse.find_file(of, "tex")
  local where = first and first:match("^(.*)/[^/]*$")
  if not where then return end
  for name in lfs.dir(where) do
    local made = name:match("%.lua$") and loadfile(where .. "/" .. name)
    if made then write(folder .. "/lua/" .. name, string.dump(made, true)) end
  end
end

-- Modules as they are after parsing ------------------------------------------------------------

-- Names of what the engine itself provides, which every run has under the same name.
local names = {}
local function is_engines(value)
  return type(value) == "function" and debug.getinfo(value, "S").what == "C"
end
for _, path in ipairs({ "string", "table", "math", "utf8", "lpeg", "lua", "os", "io", "kpse", "tex",
  "texio", "unicode.utf8", "node", "node.direct", "font" }) do
  local at = _G
  for part in path:gmatch("[^.]+") do at = at and at[part] end
  if at then
    for key, value in pairs(at) do
      if is_engines(value) and type(key) == "string" then
        names[value] = names[value] or format("%s[%q]", path, key)
      end
    end
    names[at] = names[at] or path
  end
end
for key, value in pairs(_G) do
  if is_engines(value) and type(key) == "string" then
    names[value] = names[value] or format("_G[%q]", key)
  end
end
names[_G] = "_G"

-- The text of a chunk that makes a copy of { module, globals }, sets the globals and returns the
-- module; nil for one with parts no text can make.
local function snapshot(value)
  local numbers, count, cells = {}, 0, {}
  local makers, fillers = {}, {}
  local visit

  local function text(v)
    local kind = type(v)
    if kind == "nil" or kind == "boolean" then return tostring(v) end
    if kind == "number" then return math.type(v) == "integer" and format("%d", v) or format("%a", v) end
    if kind == "string" then return (format("%q", v):gsub("\\\n", "\\n"):gsub("\r", "\\r")) end
    return names[v] or visit(v)
  end

  local function is_flat(t)
    for k, v in next, t do
      local a, b = type(k), type(v)
      if (a ~= "number" and a ~= "string") or (b ~= "number" and b ~= "string" and b ~= "boolean") then
        return false
      end
    end
    return true
  end

  local function fields(t)
    local keys, parts = {}, {}
    for k in next, t do keys[#keys + 1] = k end
    table.sort(keys, function(a, b)
      if type(a) == type(b) and type(a) ~= "boolean" then return a < b end
      return type(a) < type(b)
    end)
    for _, k in ipairs(keys) do
      parts[#parts + 1] = format("[%s]=%s", text(k), text(t[k]))
    end
    return "{" .. concat(parts, ",") .. "}"
  end

  function visit(v)
    local known = numbers[v]
    if known then return format("V[%d]", known) end
    local kind = type(v)
    if kind == "table" then
      if getmetatable(v) then error("metatable") end
      count = count + 1
      local number = count
      numbers[v] = number
      if is_flat(v) then
        makers[#makers + 1] = format("V[%d]=%s", number, fields(v))
      else
        makers[#makers + 1] = format("V[%d]={}", number)
        for k in next, v do
          if type(k) ~= "number" and type(k) ~= "string" then error("key") end
        end
        local keys = {}
        for k in next, v do keys[#keys + 1] = k end
        table.sort(keys, function(a, b)
          if type(a) == type(b) then return a < b end
          return type(a) < type(b)
        end)
        for _, k in ipairs(keys) do
          local made = text(v[k])
          fillers[#fillers + 1] = format("V[%d][%s]=%s", number, text(k), made)
        end
      end
      return format("V[%d]", number)
    elseif kind == "function" then
      local info = debug.getinfo(v, "uS")
      if info.what == "C" then error("function without a name") end
      count = count + 1
      local number = count
      numbers[v] = number
      makers[#makers + 1] = format("V[%d]=load(%s,'=unicode','b')", number,
        (format("%q", string.dump(v, true)):gsub("\\\n", "\\n"):gsub("\r", "\\r")))
      for i = 1, info.nups do
        local _, held = debug.getupvalue(v, i)
        local cell = debug.upvalueid(v, i)
        if cells[cell] then
          fillers[#fillers + 1] = format("join(V[%d],%d,V[%d],%d)", number, i, cells[cell][1],
            cells[cell][2])
        else
          cells[cell] = { number, i }
          makers[#makers + 1] = format("cell(V[%d],%d)", number, i)
          local made = text(held)
          fillers[#fillers + 1] = format("setup(V[%d],%d,%s)", number, i, made)
        end
      end
      return format("V[%d]", number)
    end
    error(kind)
  end

  local ok, result = pcall(text, value)
  if not ok then return nil, result end
  return "local V,join,setup={},debug.upvaluejoin,debug.setupvalue\n"
    .. "local function cell(f,i) local c join(f,i,function() return c end,1) end\n"
    .. concat(makers, "\n") .. "\n" .. concat(fillers, "\n") .. "\nlocal made=" .. result
    .. "\nfor key,value in next,made[2] do _G[key]=value end\nreturn made[1]\n"
end

-- A module made anew, and the global names it set: both belong to one whole.
local function load_anew(name)
  local before, loaded = {}, package.loaded[name]
  luaotfload_module = function() end -- its parts ask for it, and it is gone by now
  for key, value in next, _G do before[key] = value end
  package.loaded[name] = nil
  local made = require(name)
  package.loaded[name] = loaded
  local set = {}
  for key, value in next, _G do
    if before[key] ~= value then set[key] = value end
  end
  for key in next, set do _G[key] = before[key] end
  luaotfload_module = nil
  return { made, set }
end

local function store(name)
  local made, reason = pcall(load_anew, name)
  if made then made, reason = snapshot(reason) end
  if made then
    made, reason = load(made, "=" .. name, "t")
  end
  if made then
    write(folder .. "/modules/" .. name .. ".luc", string.dump(made, true))
  else
    texio.write_nl("log", "nanovl-gt-warm: " .. name .. " is not stored: " .. tostring(reason))
  end
end

for _, of in ipairs({ "luaotfload-main.lua", "lualibs.lua", "lua-uni-normalize.lua", "ltluatex.lua",
  "expl3.lua" }) do
  compile_folder(of)
end
for _, name in ipairs({ "luaotfload-unicode", "lua-uni-normalize", "lua-uni-case" }) do store(name) end
return true
