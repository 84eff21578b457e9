-- Run by the engine before anything else: modules stored by nanovl-gt-warm.lua are taken as they are
-- instead of being made anew, and nothing is collected until the hooks are loaded.
-- Source: data synthesis specification, section 3.5.

local folder = os.getenv("TEXGT_START")
if folder then
  for _, name in ipairs({ "luaotfload-unicode", "lua-uni-normalize", "lua-uni-case" }) do
    package.preload[name] = loadfile(folder .. "/modules/" .. name .. ".luc", "b")
  end
end
collectgarbage("stop")
