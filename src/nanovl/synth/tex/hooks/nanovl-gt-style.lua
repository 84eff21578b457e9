-- What a style needs beyond TeX macros: drawings behind the text, preambles of tables, and what the
-- main file holds. Loaded by nanovl-gt-style.sty. Draws by page literals, which leave no glyph.
-- Source: data synthesis specification, section 3.13.
local style = { bleed = 0, lists = {} }
nanovl_gt_style = style
local BP = 65781.76
local format, concat = string.format, table.concat

local function rgb(hex, operator)
  local parts = {}
  for i = 1, 5, 2 do parts[#parts + 1] = format("%.3f", tonumber(hex:sub(i, i + 1), 16) / 255) end
  return concat(parts, " ") .. " " .. operator
end

-- Behind the text ---------------------------------------------------------------------------

local KAPPA = 0.5523

local function disc(x, y, r)
  local k = r * KAPPA
  return format("%.2f %.2f m %.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c "
    .. "%.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c",
    x + r, y, x + r, y + k, x + k, y + r, x, y + r, x - k, y + r, x - r, y + k, x - r, y,
    x - r, y - k, x - k, y - r, x, y - r, x + k, y - r, x + r, y - k, x + r, y)
end

-- Marks where the printer cuts, outside the trimmed page.
local function crop(out, w, h, b, ink)
  out[#out + 1] = rgb(ink, "RG") .. " 0.4 w"
  local short = b * 0.2
  for _, x in ipairs { b, w - b } do
    out[#out + 1] = format("%.2f %.2f m %.2f %.2f l %.2f %.2f m %.2f %.2f l", x, short, x,
      b - short, x, h - short, x, h - b + short)
  end
  for _, y in ipairs { b, h - b } do
    out[#out + 1] = format("%.2f %.2f m %.2f %.2f l %.2f %.2f m %.2f %.2f l", short, y,
      b - short, y, w - short, y, w - b + short, y)
  end
  out[#out + 1] = "S"
  for _, spot in ipairs { { w / 2, b / 2 }, { w / 2, h - b / 2 }, { b / 2, h / 2 },
    { w - b / 2, h / 2 } } do
    local x, y, r = spot[1], spot[2], b * 0.18
    out[#out + 1] = disc(x, y, r) .. " S"
    out[#out + 1] = format("%.2f %.2f m %.2f %.2f l %.2f %.2f m %.2f %.2f l S", x - 1.7 * r, y,
      x + 1.7 * r, y, x, y - 1.7 * r, x, y + 1.7 * r)
  end
end

local furniture = {}

-- Holes of a ring binder.
function furniture.holes(w, h, b, ink)
  local out = { rgb("808080", "RG"), rgb("404040", "rg"), "0.5 w" }
  local x = b + 14
  for _, share in ipairs { 0.2, 0.4, 0.6, 0.8 } do
    out[#out + 1] = disc(x, b + share * (h - 2 * b), 4.5) .. " B"
  end
  return out
end

-- A bar of colour along an edge.
function furniture.bar(w, h, b, ink)
  return { rgb(ink, "rg"), format("%.2f %.2f 5 %.2f re f", b, b, h - 2 * b) }
end

-- Bars of colour above and below.
function furniture.bands(w, h, b, ink)
  return { rgb(ink, "rg"), format("%.2f %.2f %.2f 4 re %.2f %.2f %.2f 4 re f", b, b, w - 2 * b, b,
    h - b - 4, w - 2 * b) }
end

-- A corner that is folded over.
function furniture.corner(w, h, b, ink)
  local x, y, s = w - b, h - b, 22
  return { rgb("b0b0b0", "rg"), format("%.2f %.2f m %.2f %.2f l %.2f %.2f l f", x - s, y, x, y - s,
    x - s, y - s), rgb("ffffff", "rg"), format("%.2f %.2f m %.2f %.2f l %.2f %.2f l f", x - s, y,
    x, y, x, y - s) }
end

-- A staple in the upper corner.
function furniture.staple(w, h, b, ink)
  return { rgb("606060", "RG"), "1.4 w 1 J", format("%.2f %.2f m %.2f %.2f l S", b + 10,
    h - b - 18, b + 20, h - b - 9) }
end

-- Everything behind the text of this page, as operators of the page.
local function sheet()
  local w, h, b = tex.pagewidth / BP, tex.pageheight / BP, style.bleed / BP
  local out = { "q" }
  local ink = style.ink or "000000"
  if style.page_color then
    out[#out + 1] = rgb(style.page_color, "rg") .. format(" 0 0 %.3f %.3f re f", w, h)
  end
  if style.backdrop then
    out[#out + 1] = format("q %.3f 0 0 %.3f 0 0 cm %s Q", w, h, style.backdrop)
  end
  if style.furniture then
    out[#out + 1] = concat(furniture[style.furniture](w, h, b, style.furniture_color or ink), " ")
  end
  if style.has_frame then
    out[#out + 1] = rgb(ink, "RG") .. format(" 0.8 w %.2f %.2f %.2f %.2f re S", b + 3.5, b + 3.5,
      w - 2 * b - 7, h - 2 * b - 7)
  end
  if b > 0 then crop(out, w, h, b, ink) end
  out[#out + 1] = "Q"
  return concat(out, "\n")
end

function style.draw()
  pdf.print("page", sheet() .. "\n")
end

-- Preambles of tables -----------------------------------------------------------------------

local function group(text, at)
  -- Ends of a group in braces that begins at or after a place; blanks before it are skipped.
  local start = text:match("^%s*(){", at)
  if not start then return nil end
  local depth, place = 0, start
  while place <= #text do
    local c = text:sub(place, place)
    if c == "\\" then place = place + 1
    elseif c == "{" then depth = depth + 1
    elseif c == "}" then
      depth = depth - 1
      if depth == 0 then return start, place end
    end
    place = place + 1
  end
  return nil
end

-- Parts of a preamble: columns with everything that belongs to them, and what stands between them.
local function parts_of(text, parts, depth)
  local at, before = 1, ""
  while at <= #text do
    local c = text:sub(at, at)
    if c == "*" and depth < 4 then
      local s1, e1 = group(text, at + 1)
      local s2, e2
      if s1 then s2, e2 = group(text, e1 + 1) end
      local count = s1 and tonumber(text:sub(s1 + 1, e1 - 1))
      if not (s2 and count and count <= 60) then return nil end
      for _ = 1, count do
        if not parts_of(before .. text:sub(s2 + 1, e2 - 1), parts, depth + 1) then return nil end
      end
      before, at = "", e2 + 1
    elseif c == "@" or c == "!" or c == ">" or c == "<" then
      local s, e = group(text, at + 1)
      if not s then return nil end
      local piece = text:sub(at, e)
      if c == "<" and #parts > 0 then parts[#parts].text = parts[#parts].text .. piece
      elseif c == ">" then before = before .. piece
      elseif #parts == 0 then before = before .. piece
      else parts[#parts].text = parts[#parts].text .. piece parts[#parts].is_glued = true end
      at = e + 1
    elseif c == "|" then
      if #parts == 0 then parts.left = true else parts[#parts].bars = true end
      at = at + 1
    elseif c:match("%a") then
      local piece = c
      at = at + 1
      while true do
        local option = text:match("^%s*%b[]", at)
        if option then piece, at = piece .. option, at + #option end
        local s, e = group(text, at)
        if s and text:sub(at, s):match("^%s*{$") then
          piece, at = piece .. text:sub(s, e), e + 1
        elseif not option then
          break
        end
      end
      parts[#parts + 1] = { text = before .. piece }
      before = ""
    elseif c:match("%s") then
      at = at + 1
    else
      return nil
    end
  end
  if before ~= "" then
    if #parts == 0 then return nil end
    parts[#parts].text = parts[#parts].text .. before
  end
  return parts
end

-- A preamble with other vertical rules; the same when it is not understood.
function style.preamble(text)
  local spans = text:match("^\\ngt@span%s*")
  local rest = spans and text:sub(#spans + 1) or text
  local parts = parts_of(rest, {}, 0)
  if not parts or #parts == 0 then return rest end
  local bars = style.bars or ""
  local out = {}
  local function bar(k)
    if style.rules == "grid" then return "|" end
    if style.rules then return "" end
    local n = tonumber(bars:sub(k % #bars + 1, k % #bars + 1)) or 0
    return ("|"):rep(n)
  end
  if not spans then out[1] = bar(0) elseif parts.left then out[1] = bar(0) end
  for k, part in ipairs(parts) do
    out[#out + 1] = part.text
    local has_room = not part.is_glued or style.rules
    if has_room and (k < #parts or not spans) then out[#out + 1] = bar(k)
    elseif has_room and spans and (part.bars or style.rules == "grid") then out[#out + 1] = bar(k) end
  end
  return concat(out)
end

-- Lists of values taken in turn, over and over ------------------------------------------------

local places = {}
function style.cycle(name)
  local values = {}
  for value in style.lists[name]:gmatch("[^,]+") do values[#values + 1] = value end
  places[name] = (places[name] or 0) % #values + 1
  return values[places[name]]
end

-- The main file ------------------------------------------------------------------------------

-- How many of these the body of the main file holds: title and abstract come before columns begin.
function style.waits()
  local file = io.open(status.filename or "", "rb")
  if not file then return 0 end
  local text = file:read("a")
  file:close()
  text = ("\n" .. text):gsub("([^\\])%%[^\n]*", "%1")
  local body = text:match("\\begin%s*{document}(.*)") or text
  local count = 0
  if body:find("\\maketitle", 1, true) then count = count + 1 end
  if body:find("\\begin{abstract}", 1, true) then count = count + 1 end
  return count
end

return style
