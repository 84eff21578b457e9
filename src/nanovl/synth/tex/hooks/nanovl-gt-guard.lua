-- Narrows Lua down when the engine does not run in a namespace of its own: files are read from the
-- job's folder and the TeX tree and written in the job's folder alone; programs, libraries and
-- the functions that would look behind these limits are gone. Loaded before any document.
-- Source: data synthesis specification, section 3.18.

local work = lfs.currentdir()
local readable = { work .. "/" }
for folder in (os.getenv("TEXGT_GUARD") or ""):gmatch("[^:]+") do
  readable[#readable + 1] = folder:gsub("/*$", "") .. "/"
end
local writable = { work .. "/" }

-- The path with its dots and links resolved as far as names go; nil for what cannot be judged.
local symlink = lfs.symlinkattributes
local function resolved(path)
  if type(path) ~= "string" or path:find("%z") then return nil end
  if path:sub(1, 1) ~= "/" then path = work .. "/" .. path end
  local parts, links = {}, 0
  local pending = {}
  for part in path:gmatch("[^/]+") do pending[#pending + 1] = part end
  local k = 1
  while k <= #pending do
    local part = pending[k]
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
      local here = "/" .. table.concat(parts, "/")
      local target = symlink(here, "target")
      if target then
        links = links + 1
        if links > 40 then return nil end
        parts[#parts] = nil
        if target:sub(1, 1) == "/" then parts = {} end
        local rest = {}
        for piece in target:gmatch("[^/]+") do rest[#rest + 1] = piece end
        for i = k + 1, #pending do rest[#rest + 1] = pending[i] end
        pending, k = rest, 0
      end
    end
    k = k + 1
  end
  return "/" .. table.concat(parts, "/")
end

local function is_inside(path, folders)
  local full = resolved(path)
  if not full then return false end
  for _, folder in ipairs(folders) do
    if (full .. "/"):sub(1, #folder) == folder then return true end
  end
  return false
end

local function refusal(path)
  return nil, tostring(path) .. ": outside the job's folder and the TeX tree", 13
end

local function guarded(original, mode_of)
  return function(path, mode, ...)
    if path ~= nil then
      local folders = mode_of(mode) and writable or readable
      if not is_inside(path, folders) then return refusal(path) end
    end
    return original(path, mode, ...)
  end
end

local function by_mode(mode) return type(mode) == "string" and mode:find("[wa+]") ~= nil end
local function never() return false end
local function always() return true end

io.open = guarded(io.open, by_mode)
io.lines = guarded(io.lines, never)
io.input = guarded(io.input, never)
io.output = guarded(io.output, always)
io.popen = function() return refusal("io.popen") end
dofile, loadfile = guarded(dofile, never), guarded(loadfile, never)
os.remove, os.tmpname = guarded(os.remove, always), nil
for _, name in ipairs({ "mkdir", "rmdir", "touch", "chdir" }) do
  if lfs[name] then lfs[name] = guarded(lfs[name], always) end
end
local rename = os.rename
os.rename = function(from, to)
  if not (is_inside(from, writable) and is_inside(to, writable)) then return refusal(to) end
  return rename(from, to)
end
for _, name in ipairs({ "link", "lock_dir", "symlinkattributes" }) do lfs[name] = nil end
local dir, attributes = lfs.dir, lfs.attributes
lfs.dir = function(path)
  if not is_inside(path, readable) then error(path .. ": outside the job's folder", 2) end
  return dir(path)
end
lfs.attributes = function(path, ...)
  if not is_inside(path, readable) then return refusal(path) end
  return attributes(path, ...)
end
for _, name in ipairs({ "execute", "spawn", "exec", "kpsepopen", "setenv" }) do os[name] = nil end
package.loadlib, package.cpath = nil, ""
if package.searchers then package.searchers[4], package.searchers[3] = nil, nil end
socket, mime = nil, nil
package.loaded.socket, package.loaded.mime = nil, nil
if debug then
  for _, name in ipairs({ "getupvalue", "setupvalue", "upvaluejoin", "upvalueid", "getregistry",
    "getlocal", "setlocal", "sethook", "debug", "getuservalue", "setuservalue" }) do
    debug[name] = nil
  end
end
local find = kpse.find_file
luatexbase.add_to_callback("find_image_file", function(name)
  local path = find(name, "graphic/figure") or find(name, "tex") or name
  if is_inside(path, readable) then return path end
  return nil
end, "nanovl-gt.guard")
return true
