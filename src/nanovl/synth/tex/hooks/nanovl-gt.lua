-- Records what LuaTeX ships out: one JSON line per page, one per paragraph, maths list and font.
-- Loaded by nanovl-gt.sty; writes <jobname>-gt.jsonl in the current folder and nothing else.
-- Source: data synthesis specification, sections 3.6 to 3.11.

collectgarbage("restart") -- stopped by nanovl-gt-start.lua
if os.getenv("TEXGT_GUARD") then require("nanovl-gt-guard") end

local maths_names = require("nanovl-gt-maths")
local d = node.direct
local getid, getsubtype, getnext, getlist = d.getid, d.getsubtype, d.getnext, d.getlist
local getfield, getattribute = d.getfield, d.get_attribute
local todirect = d.todirect
local format, concat = string.format, table.concat

local HLIST, VLIST = node.id("hlist"), node.id("vlist")
local RULE, GLYPH, GLUE, KERN = node.id("rule"), node.id("glyph"), node.id("glue"), node.id("kern")
local DIR = node.id("dir")
local MARGIN, MATH, DISC = node.id("margin_kern"), node.id("math"), node.id("disc")
local WHATSIT = node.id("whatsit")
local INS = node.id("ins")
local NOAD, FRACTION, RADICAL = node.id("noad"), node.id("fraction"), node.id("radical")
local ACCENT, FENCE, CHOICE = node.id("accent"), node.id("fence"), node.id("choice")
local STYLE = node.id("style")
local MATH_CHAR, MATH_TEXT_CHAR = node.id("math_char"), node.id("math_text_char")
local SUB_BOX, SUB_MLIST, DELIM = node.id("sub_box"), node.id("sub_mlist"), node.id("delim")

local WHATSITS = {}
for number, name in pairs(node.whatsits()) do WHATSITS[number] = name end

local LINE, ALIGNMENT, CELL = 1, 4, 5
local RUNNING = -1073741824
local SPACE_MIN = 98304 -- 1.5 pt

local ATTRIBUTES = {
  "class", "inst", "table", "float", "tag", "style", "list", "math", "soft",
}
local number_of = {}
for _, name in ipairs(ATTRIBUTES) do
  number_of[name] = luatexbase.registernumber("ngt@a@" .. name)
end
local A_PAR = luatexbase.registernumber("ngt@a@par")
local A_LINE = luatexbase.registernumber("ngt@a@line")
local A_MATH, A_SOFT = number_of.math, number_of.soft
local A_CLASS, A_INST, A_TABLE = number_of.class, number_of.inst, number_of.table
local PICTURE = 7

local USER_ID = 1852270196
local gt = { is_draft = false, horigin = 4736286, vorigin = 4736286, max_pages = 400,
  frame = 0 }
nanovl_gt = gt
local file
local fonts_used = {}

local function out(text)
  if not file then file = io.open(tex.jobname .. "-gt.jsonl", "wb") end
  file:write(text, "\n")
end

local function quote(text)
  text = tostring(text):gsub('[%c"\\]', function(c) return format("\\u%04x", c:byte()) end)
  if not utf8.len(text) then
    text = text:gsub("[\128-\255]", function(c) return format("\\u%04x", c:byte()) end)
  end
  return '"' .. text .. '"'
end

local function use_font(font, char)
  local chars = fonts_used[font]
  if not chars then chars = {} fonts_used[font] = chars end
  chars[char] = true
end

function gt.meta(kind, inst, value)
  if not gt.is_draft then out(format('["meta",%s,%d,%s]', quote(kind), inst, quote(value))) end
end

-- The walk over a shipped box ---------------------------------------------------------------

local events, count
local par, line, row, cell, column
local rows, cells, columns, lines = 0, 0, 0, 0
local last_list, last_context, context
local values = {}
local picture_inst

local function emit(text)
  count = count + 1
  events[count] = text
end

local function state(n)
  -- Nodes that share one attribute list share everything; the pointer is compared first.
  local list = d.getattributelist(n)
  if list == last_list and context == last_context then return end
  last_list, last_context = list, context
  for i, name in ipairs(ATTRIBUTES) do
    values[i] = getattribute(n, number_of[name]) or 0
  end
  emit(format('["s",%s,%d,%d,%d,%d,%d]', concat(values, ","), par, line, row, cell, column))
end

local walk_hlist, walk_vlist

local function scope(p, l, r, c, k)
  par, line, row, cell, column = p, l, r, c, k
  context = context + 1
end

local function enter(n, x, y, parent_is_vertical)
  -- Walk a box whose reference point is (x, y).
  local id, subtype = getid(n), getsubtype(n)
  local p, l, r, c, k = par, line, row, cell, column
  local list = getlist(n)
  local class = getattribute(n, A_CLASS)
  if class == PICTURE then
    local inst = getattribute(n, A_INST) or 0
    if inst ~= picture_inst then
      state(n)
      emit(format('["p",%d,%.0f,%.0f,%.0f,%.0f,%.0f]', inst, x, y, getfield(n, "width"),
        getfield(n, "height"), getfield(n, "depth")))
    end
    local outer = picture_inst
    picture_inst = inst
    if id == HLIST then walk_hlist(n, list, x, y) else walk_vlist(n, list, x, y) end
    picture_inst = outer
    return
  end
  if id == HLIST then
    if subtype == LINE then
      local number = getattribute(n, A_PAR)
      if number then
        scope(number, getattribute(n, A_LINE) or 0, row, cell, column)
      elseif parent_is_vertical and par <= 0 then
        lines = lines + 1
        scope(-lines, 1, row, cell, column)
      end
    elseif subtype == ALIGNMENT then
      rows = rows + 1
      emit(format('["r",%d,%d,%d,%d,%.0f,%.0f,%.0f,%.0f,%.0f]', rows, row, cell,
        getattribute(n, A_TABLE) or 0, x, y, getfield(n, "width"), getfield(n, "height"),
        getfield(n, "depth")))
      scope(par, line, rows, 0, column)
    elseif subtype == CELL then
      cells = cells + 1
      local left, right = 0, 0
      local node_now, last = list, 0
      local seen = false
      while node_now do
        local i = getid(node_now)
        if i == GLUE then
          if getfield(node_now, "stretch_order") > 0 then
            if not seen then left = 1 end
            last = 1
          end
        elseif i == GLYPH or i == VLIST or i == MATH or (i == HLIST and getlist(node_now)) then
          seen, last = true, 0
        end
        node_now = getnext(node_now)
      end
      right = last
      emit(format('["c",%d,%d,%d,%d,%d,%.0f,%.0f,%.0f,%.0f,%.0f]', cells, row, list and 1 or 0, left, right,
        x, y, getfield(n, "width"), getfield(n, "height"), getfield(n, "depth")))
      scope(par, line, row, cells, column)
    elseif parent_is_vertical and list and par <= 0 then
      lines = lines + 1
      scope(-lines, 1, row, cell, column)
    end
    walk_hlist(n, list, x, y)
  else
    local now = list
    while now do
      if getid(now) == HLIST and getsubtype(now) == LINE then
        columns = columns + 1
        scope(par, line, row, cell, columns)
        break
      end
      now = getnext(now)
    end
    walk_vlist(n, list, x, y)
  end
  if p ~= par or l ~= line or r ~= row or c ~= cell or k ~= column then scope(p, l, r, c, k) end
end

local function rule(n, x, y, w, h, dp)
  local subtype = getsubtype(n)
  if subtype == 0 or subtype == 2 or subtype == 1 or subtype >= 6 then
    state(n)
    local name = subtype == 2 and "i" or subtype == 1 and "b" or "u"
    emit(format('["%s",%.0f,%.0f,%.0f,%.0f,%.0f]', name, x, y, w, h, dp))
  end
end

local function whatsit(n, x, y)
  local name = WHATSITS[getsubtype(n)]
  if name == "pdf_save" then
    emit(format('["q",%.0f,%.0f]', x, y))
  elseif name == "pdf_restore" then
    emit('["Q"]')
  elseif name == "pdf_setmatrix" then
    emit(format('["m",%s,%.0f,%.0f]', quote(d.tonode(n).data or ""), x, y))
  elseif name == "user_defined" and getfield(n, "user_id") == USER_ID then
    emit(format('["l",0,%s,%.0f,%.0f]', quote(d.tonode(n).value), x, y))
  end
end

-- The engine does not give back the text of a literal, so drivers that turn or move things by
-- literals announce them (\pgfsys@invoke in nanovl-gt.sty).
function gt.literal(data)
  if gt.is_draft then return end
  if data:find("cm", 1, true) or data:find("%f[%w][qQ]%f[%W]") then
    local n = node.new("whatsit", "user_defined")
    n.user_id = USER_ID
    n.type = 115
    local kept = {}
    for part in data:gmatch("[^\n]+") do
      for numbers, operator in part:gmatch("([%-%d%.%s]*)(%a+)") do
        if operator == "cm" then
          local last = {}
          for number in numbers:gmatch("%S+") do last[#last + 1] = number end
          if #last >= 6 then kept[#kept + 1] = concat(last, " ", #last - 5) .. " cm" end
        elseif operator == "q" or operator == "Q" then
          kept[#kept + 1] = operator
        end
      end
    end
    n.value = concat(kept, " ")
    node.write(n)
  end
end

local function leaders(n, x, y, w, parent, is_horizontal)
  local leader = getfield(n, "leader")
  if leader and getid(leader) == RULE then
    state(n)
    if is_horizontal then
      local h, dp = getfield(leader, "height"), getfield(leader, "depth")
      if h == RUNNING then h = getfield(parent, "height") end
      if dp == RUNNING then dp = getfield(parent, "depth") end
      emit(format('["u",%.0f,%.0f,%.0f,%.0f,%.0f]', x, y, w, h, dp))
    else
      local width = getfield(leader, "width")
      if width == RUNNING then width = getfield(parent, "width") end
      emit(format('["u",%.0f,%.0f,%.0f,%.0f,%.0f]', x, y, width, 0, w))
    end
  elseif leader and is_horizontal then
    -- Boxes repeated along the glue: at multiples of the width (leaders), centred (cleaders) or
    -- spread (xleaders).
    local kind = getsubtype(n)
    local step = getfield(leader, "width")
    if step > 0 then
      local first, gap, copies = x, 0, 0
      if kind == 100 then
        local origin = parent and gt.left or x
        first = origin + math.ceil((x - origin) / step) * step
        copies = math.floor((x + w - first) / step)
      else
        copies = math.floor(w / step)
        local rest = w - copies * step
        if kind == 101 then first = x + math.floor(rest / 2)
        else gap = math.floor(rest / (copies + 1)) first = x + math.floor((rest - (copies - 1) * gap) / 2) end
      end
      emit('["d",1]')
      for i = 0, math.min(copies, 400) - 1 do
        enter(leader, first + i * (step + gap), y + (getfield(leader, "shift") or 0), false)
      end
      emit('["d",0]')
    end
  end
end

-- Width of what stands between the begin of a direction and its end.
local function part_width(n, set, order, sign)
  local depth, last = 0, n
  while last do
    if getid(last) == DIR then
      depth = depth + (getfield(last, "dir"):sub(1, 1) == "-" and -1 or 1)
      if depth == 0 then break end
    end
    last = getnext(last)
  end
  return (d.dimensions(set, sign, order, getnext(n), last))
end

function walk_hlist(parent, n, x, y, turned)
  local outer = gt.left
  gt.left = x
  local set, order, sign = getfield(parent, "glue_set"), getfield(parent, "glue_order"),
    getfield(parent, "glue_sign")
  local plain = sign == 0
  -- Text from right to left: the list stays in reading order, places go down.
  local back = turned
  if back == nil then
    back = getfield(parent, "dir") == "TRT"
    if back then x = x + getfield(parent, "width") end
  end
  local outer_dirs
  while n do
    local id = getid(n)
    if id == GLYPH then
      state(n)
      local font, char = getfield(n, "font"), getfield(n, "char")
      local width = getfield(n, "width")
      local expansion = getfield(n, "expansion_factor")
      if expansion ~= 0 then width = width * (1 + expansion / 1000000) end
      local chars = fonts_used[font]
      if not chars then chars = {} fonts_used[font] = chars end
      chars[char] = true
      if back then x = x - width end
      if back ~= gt.is_back then
        gt.is_back = back
        emit(format('["<",%d]', back and 1 or 0))
      end
      emit(format("[%d,%d,%.0f,%.0f,%.0f]", font, char,
        back and x - getfield(n, "xoffset") or x + getfield(n, "xoffset"),
        y - getfield(n, "yoffset"), width))
      if not back then x = x + width end
    elseif id == GLUE then
      local w = plain and getfield(n, "width") or d.effective_glue(n, parent)
      local subtype = getsubtype(n)
      if back then x = x - w end
      local is_blank = subtype == 13 or subtype == 14
      -- Between ideographs there is glue that only stretches: no blank of the text.
      if is_blank and getfield(n, "width") > 0 or (subtype == 0 and w >= SPACE_MIN) then
        emit(format('["_",%.0f,%.0f,%.0f]', x, y, w))
      elseif subtype >= 100 then
        leaders(n, x, y, w, parent, true)
      end
      if not back then x = x + w end
    elseif id == KERN then
      local w, subtype = getfield(n, "kern"), getsubtype(n)
      if subtype == 0 then
        local expansion = getfield(n, "expansion_factor")
        if expansion ~= 0 then w = w * (1 + expansion / 1000000) end
      elseif subtype == 1 and w >= SPACE_MIN then
        emit(format('["_",%.0f,%.0f,%.0f]', back and x - w or x, y, w))
      end
      x = back and x - w or x + w
    elseif id == HLIST or id == VLIST then
      local w = getfield(n, "width")
      if back then x = x - w end
      enter(n, x, y + getfield(n, "shift"), false)
      if not back then x = x + w end
    elseif id == RULE then
      local w, h, dp = getfield(n, "width"), getfield(n, "height"), getfield(n, "depth")
      if h == RUNNING then h = getfield(parent, "height") end
      if dp == RUNNING then dp = getfield(parent, "depth") end
      if w == RUNNING then w = 0 end
      if back then x = x - w end
      rule(n, x, y, w, h, dp)
      if not back then x = x + w end
    elseif id == MATH then
      local w = getfield(n, "surround")
      if w == 0 and d.effective_glue then w = getfield(n, "width") end
      x = back and x - w or x + w
    elseif id == MARGIN then
      x = back and x - getfield(n, "width") or x + getfield(n, "width")
    elseif id == DISC then
      local replace = getfield(n, "replace")
      if replace then x = walk_hlist(parent, replace, x, y, back) end
    elseif id == DIR then
      local name = getfield(n, "dir")
      if name:sub(1, 1) == "-" then
        local last = outer_dirs and table.remove(outer_dirs)
        if last then back, x = last[1], last[2] or x end
      else
        local is_back = name:sub(-3) == "TRT"
        local w = is_back ~= back and part_width(n, set, order, sign) or 0
        outer_dirs = outer_dirs or {}
        if is_back == back then
          outer_dirs[#outer_dirs + 1] = { back, nil }
        else
          local other = back and x - w or x + w
          outer_dirs[#outer_dirs + 1] = { back, other }
          back, x = is_back, other
        end
      end
    elseif id == WHATSIT then
      whatsit(n, x, y)
    end
    n = getnext(n)
  end
  gt.left = outer
  return x
end

function walk_vlist(parent, n, x, baseline)
  local y = baseline - getfield(parent, "height")
  -- Boxes from right to left hang on the right edge.
  local right = getfield(parent, "dir") == "TRT" and getfield(parent, "width")
  while n do
    local id = getid(n)
    if id == HLIST or id == VLIST then
      y = y + getfield(n, "height")
      local shift = getfield(n, "shift")
      if right then shift = right - shift - getfield(n, "width") end
      enter(n, x + shift, y, true)
      y = y + getfield(n, "depth")
    elseif id == GLUE then
      local w = d.effective_glue(n, parent)
      if getsubtype(n) >= 100 then leaders(n, x, y, w, parent, false) end
      y = y + w
    elseif id == KERN then
      y = y + getfield(n, "kern")
    elseif id == RULE then
      local w, h, dp = getfield(n, "width"), getfield(n, "height"), getfield(n, "depth")
      if w == RUNNING then w = getfield(parent, "width") end
      if h == RUNNING then h = 0 end
      if dp == RUNNING then dp = 0 end
      rule(n, x, y + h, w, h, dp)
      y = y + h + dp
    elseif id == WHATSIT then
      whatsit(n, x, y)
    end
    n = getnext(n)
  end
end

local pages = 0
local function shipout(head)
  pages = pages + 1
  if pages > gt.max_pages then
    texio.write_nl("log", "! nanovl-gt: more than " .. gt.max_pages .. " pages.")
    os.exit(3, true)
  end
  if gt.is_draft then return true end
  events, count = {}, 0
  par, line, row, cell, column = 0, 0, 0, 0, 0
  last_list, last_context, context = nil, nil, 1
  picture_inst = nil
  gt.is_back = false
  local box = todirect(head)
  local x = gt.horigin + tex.hoffset
  if tex.pagedir == "TRT" then x = tex.pagewidth - x - getfield(box, "width") end
  local y = gt.vorigin + tex.voffset
  state(box)
  if getid(box) == HLIST then
    enter(box, x, y + getfield(box, "height"), false)
  else
    enter(box, x, y + getfield(box, "height"), true)
  end
  local rotation = string.match((gt.pageattr or "") .. (pdf.getpageattributes() or ""),
    "/Rotate%s+(%-?%d+)") or "0"
  out(format('["page",%d,%d,%.0f,%.0f,%s,[%s],%d]', pages, tex.count[0], tex.pagewidth,
    tex.pageheight, rotation, concat(events, ","), gt.frame))
  events = nil
  return true
end

-- Paragraphs ---------------------------------------------------------------------------------

local paragraphs = 0
local function linebreak(head, group)
  if gt.is_draft then return true end
  paragraphs = paragraphs + 1
  local number = 0
  local n = todirect(head)
  while n do
    if getid(n) == HLIST and getsubtype(n) == LINE then
      number = number + 1
      d.set_attribute(n, A_PAR, paragraphs)
      d.set_attribute(n, A_LINE, number)
      -- A hyphen made by breaking the line: the engine puts it in front of the discretionary,
      -- which then ends the line. Subtype 2 follows a hyphen that is in the text.
      local before, glyph, now = nil, nil, getlist(n)
      while now do
        local id = getid(now)
        if id == GLYPH then
          glyph, before = now, nil
        elseif id == DISC then
          before, glyph = getsubtype(now) ~= 2 and not getfield(now, "replace") and glyph or nil, nil
        elseif id == HLIST or id == VLIST or id == MATH or id == RULE then
          before, glyph = nil, nil
        elseif id == GLUE then
          local subtype = getsubtype(now)
          if subtype ~= 8 and subtype ~= 9 and subtype ~= 15 then before, glyph = nil, nil end
        end
        now = getnext(now)
      end
      if before then d.set_attribute(before, A_SOFT, 1) end
    end
    n = getnext(n)
  end
  out(format('["par",%d,%d,%s]', paragraphs, tex.inputlineno, quote(status.filename or "")))
  return true
end

-- Footnotes -----------------------------------------------------------------------------------

-- Classes with footnotes of their own making (title notes, addresses) still hand them to TeX as
-- insertions; what nothing has claimed in there is a footnote (floats are no insertions).
local notes = 500000
local function claim(n, inst)
  while n do
    local id = getid(n)
    if id == GLYPH then
      local class = getattribute(n, A_CLASS) or 0
      if class == 0 or class == 2 or class == 14 then
        d.set_attribute(n, A_CLASS, 10)
        d.set_attribute(n, A_INST, inst)
      end
    elseif id == HLIST or id == VLIST then
      claim(getlist(n), inst)
    elseif id == DISC then
      local replace = getfield(n, "replace")
      if replace then claim(replace, inst) end
    end
    n = getnext(n)
  end
end

local function before_page()
  if gt.is_draft then return end
  local n = tex.lists.contrib_head
  n = n and todirect(n)
  while n do
    if getid(n) == INS then
      notes = notes + 1
      claim(getfield(n, "head"), notes)
    end
    n = getnext(n)
  end
end

-- Maths lists --------------------------------------------------------------------------------

local list_text

local function kernel_text(n)
  if not n then return "null" end
  local id = getid(n)
  local text = "null"
  if id == MATH_CHAR or id == MATH_TEXT_CHAR then
    local fam, char = getfield(n, "fam"), getfield(n, "char")
    local font = node.family_font(fam, 0)
    use_font(font, char)
    text = format('["c",%d,%d,%d]', font, char, fam)
  elseif id == SUB_MLIST then
    text = format('["l",%s]', list_text(getlist(n) or getfield(n, "list")))
  elseif id == SUB_BOX then
    text = gt.box_text(getlist(n) or getfield(n, "list"))
  end
  return text
end

local function delimiter_text(n)
  if not n then return "null" end
  local fam, char = getfield(n, "small_fam"), getfield(n, "small_char")
  if fam == 0 and char == 0 then
    fam, char = getfield(n, "large_fam"), getfield(n, "large_char")
    if fam == 0 and char == 0 then return "null" end
  end
  local font = node.family_font(fam, 0)
  use_font(font, char)
  return format('["c",%d,%d,%d]', font, char, fam)
end

-- What a box inside maths holds: glyphs, nested lists by number, rows of alignments.
local function box_items(n, items, state_)
  while n do
    local id = getid(n)
    local number = getattribute(n, A_MATH)
    if number and number ~= state_.outer then
      if number ~= state_.last then
        items[#items + 1] = format('["m",%d]', number)
        state_.last = number
      end
    elseif id == GLYPH then
      state_.last = nil
      local font, char = getfield(n, "font"), getfield(n, "char")
      use_font(font, char)
      items[#items + 1] = format("[%d,%d]", font, char)
    elseif id == GLUE then
      local subtype = getsubtype(n)
      if subtype == 13 or subtype == 14 or (subtype == 0 and getfield(n, "width") >= SPACE_MIN) then
        items[#items + 1] = '"_"'
      end
    elseif id == KERN and getsubtype(n) == 1 and getfield(n, "kern") >= SPACE_MIN then
      items[#items + 1] = '"_"'
    elseif id == RULE and getsubtype(n) == 0 then
      items[#items + 1] = '"u"'
    elseif id == RULE and getsubtype(n) == 2 then
      items[#items + 1] = '"i"'
    elseif id == DISC then
      local replace = getfield(n, "replace")
      if replace then box_items(replace, items, state_) end
    elseif id == HLIST and getsubtype(n) == ALIGNMENT then
      state_.last = nil
      local row_cells = {}
      local c = getlist(n)
      while c do
        if getid(c) == HLIST and getsubtype(c) == CELL then
          local inner = {}
          box_items(getlist(c), inner, { outer = state_.outer })
          row_cells[#row_cells + 1] = "[" .. concat(inner, ",") .. "]"
        end
        c = getnext(c)
      end
      items[#items + 1] = '["r",' .. concat(row_cells, ",") .. "]"
      state_.last = nil
    elseif id == HLIST or id == VLIST then
      box_items(getlist(n), items, state_)
    end
    n = getnext(n)
  end
end

function gt.box_text(n)
  local items = {}
  local direction = n and getid(n) == VLIST and "v" or "h"
  local size = 0
  if n and (getid(n) == HLIST or getid(n) == VLIST) then
    size = getfield(n, "height") + getfield(n, "depth")
  end
  if n and (getid(n) == HLIST or getid(n) == VLIST) then
    box_items(getlist(n), items, {})
  else
    box_items(n, items, {})
  end
  return format("[\"b\",\"%s\",[%s],%d]", direction, concat(items, ","), size)
end

function list_text(n)
  local parts = {}
  local k = 0
  while n do
    local id = getid(n)
    local text
    if id == NOAD then
      text = format('["n",%d,%s,%s,%s]', getsubtype(n), kernel_text(getfield(n, "nucleus")),
        kernel_text(getfield(n, "sup")), kernel_text(getfield(n, "sub")))
    elseif id == FRACTION then
      text = format('["f",%.0f,%s,%s,%s,%s]', getfield(n, "width") or -1,
        kernel_text(getfield(n, "num")), kernel_text(getfield(n, "denom")),
        delimiter_text(getfield(n, "left")), delimiter_text(getfield(n, "right")))
    elseif id == RADICAL then
      text = format('["R",%d,%s,%s,%s,%s,%s]', getsubtype(n), kernel_text(getfield(n, "nucleus")),
        kernel_text(getfield(n, "degree")), delimiter_text(getfield(n, "left")),
        kernel_text(getfield(n, "sup")), kernel_text(getfield(n, "sub")))
    elseif id == ACCENT then
      text = format('["A",%d,%s,%s,%s,%s,%s]', getsubtype(n), kernel_text(getfield(n, "nucleus")),
        kernel_text(getfield(n, "accent")), kernel_text(getfield(n, "bot_accent")),
        kernel_text(getfield(n, "sup")), kernel_text(getfield(n, "sub")))
    elseif id == FENCE then
      text = format('["F",%d,%s]', getsubtype(n), delimiter_text(getfield(n, "delim")))
    elseif id == CHOICE then
      text = format('["C",%s,%s]', list_text(getfield(n, "display")),
        list_text(getfield(n, "text")))
    elseif id == STYLE then
      text = format('["S",%s]', quote(getfield(n, "style")))
    elseif id == GLUE then
      text = format('["g",%.0f,%d]', getfield(n, "width"), getsubtype(n))
    elseif id == KERN then
      text = format('["k",%.0f]', getfield(n, "kern"))
    elseif id == HLIST or id == VLIST then
      text = gt.box_text(n)
    elseif id == RULE then
      text = '["u"]'
    elseif id == GLYPH then
      use_font(getfield(n, "font"), getfield(n, "char"))
      text = format('["G",%d,%d]', getfield(n, "font"), getfield(n, "char"))
    end
    if text then k = k + 1 parts[k] = text end
    n = getnext(n)
  end
  return "[" .. concat(parts, ",") .. "]"
end

-- Whether a box has glyphs that come from no maths list: cells of a tabular, not of an array.
local function has_text(n)
  local now = getlist(n)
  while now do
    local id = getid(now)
    if id == GLYPH and not getattribute(now, A_MATH) then return true end
    if (id == HLIST or id == VLIST) and has_text(now) then return true end
    now = getnext(now)
  end
  return false
end

-- tabular and \\parbox centre themselves by a maths list that holds one box: no maths.
local function is_wrapper(n)
  local found
  while n do
    if getid(n) == NOAD then
      local kind = getsubtype(n) -- centred, or [t] and [b] of a tabular
      if found or (kind ~= 12 and kind ~= 0) or getfield(n, "sup") or getfield(n, "sub") then
        return false
      end
      found = n
    elseif getid(n) ~= STYLE and getid(n) ~= GLUE and getid(n) ~= KERN then
      return false
    end
    n = getnext(n)
  end
  local nucleus = found and getfield(found, "nucleus")
  if not nucleus or getid(nucleus) ~= SUB_BOX then return false end
  if (getattribute(found, A_TABLE) or 0) > 0 then return true end
  local box = getlist(nucleus) or getfield(nucleus, "list")
  local inner = box and getid(box) == VLIST and getlist(box)
  while inner do
    if getid(inner) == HLIST then
      return getsubtype(inner) == LINE or (getsubtype(inner) == ALIGNMENT and has_text(inner))
    end
    inner = getnext(inner)
  end
  return false
end

-- What amsmath makes \big of: by the parenthesis of the text font.
local big_register
local function big_size()
  if big_register == nil then
    local found = token.create("big@size")
    big_register = found.cmdname == "assign_dimen" and found.index or false
  end
  return big_register and tex.dimen[big_register] or 0
end

local maths = 0
local skips = false
local function before_math(head, style, penalties)
  if gt.is_draft then return true end
  maths = maths + 1
  skips = is_wrapper(todirect(head))
  out(format('["math",%d,%s,%d,%d,%s,%d]', maths, quote(style), tex.inputlineno,
    math.floor((font.getfont(node.family_font(2, 0)) or {}).parameters
      and (font.getfont(node.family_font(2, 0)).parameters.quad or 655360) or 655360),
    list_text(todirect(head)), big_size()))
  return true
end

local function mark(n, number)
  while n do
    local id = getid(n)
    d.set_attribute(n, A_MATH, number)
    if id == HLIST or id == VLIST then
      mark(getlist(n), number)
    elseif id == DISC then
      local replace = getfield(n, "replace")
      if replace then mark(replace, number) end
    end
    n = getnext(n)
  end
end

local function after_math(head)
  if gt.is_draft then return true end
  -- Lists convert without nesting: the number is still that of the list that just began.
  if head and not skips then mark(todirect(head), maths) end
  return true
end

-- Fonts --------------------------------------------------------------------------------------

local function tounicode(value)
  if type(value) == "table" then
    local parts = {}
    for i, v in ipairs(value) do parts[i] = type(v) == "number" and format("%04X", v) or tostring(v) end
    return concat(parts)
  elseif type(value) == "number" then
    return format(value > 0xFFFF and "%06X" or "%04X", value)
  end
  return value and tostring(value) or ""
end

local copies = {}
local function font_data(id)
  local data = copies[id]
  if data == nil then
    data = font.getfont(id)
    -- For classic fonts the ordinary getter may give a stub without the virtual characters.
    if not (data and data.characters and next(data.characters) and data.type)
      or data.type == "unknown" then
      data = font.getcopy(id) or data or false
    end
    copies[id] = data
  end
  return data
end

-- Glyphs and rules a virtual character is made of, as [font, char, dx, dy] and [0, w, h, dx, dy].
local function flatten(id, char, dx, dy, parts, depth)
  local data = font_data(id)
  local info = data and data.characters and data.characters[char]
  if not info or not info.commands or depth > 6 then
    parts[#parts + 1] = { id, char, dx, dy }
    use_font(id, char)
    return
  end
  local x, y, stack = dx, dy, {}
  local current = data.fonts and data.fonts[1] and data.fonts[1].id or id
  for _, command in ipairs(info.commands) do
    local name = command[1]
    if name == "font" then
      -- Fonts the engine read itself name base fonts by number, those of Lua by place in a list.
      local base = data.fonts and data.fonts[command[2]]
      current = base and base.id or not data.fonts and command[2] or current
      if current == 0 then current = id end
    elseif name == "char" or name == "slot" then
      local base, code = current, command[2]
      if name == "slot" then
        base = data.fonts and data.fonts[command[2]] and data.fonts[command[2]].id or id
        code = command[3]
      end
      if base == 0 then base = id end
      if base == id then
        parts[#parts + 1] = { id, code, x, y }
      else
        flatten(base, code, x, y, parts, depth + 1)
      end
      local inner = font_data(base)
      inner = inner and inner.characters and inner.characters[code]
      x = x + (inner and inner.width or 0)
    elseif name == "right" then
      x = x + command[2]
    elseif name == "down" then
      y = y + command[2]
    elseif name == "push" then
      stack[#stack + 1] = { x, y }
    elseif name == "pop" then
      local top = table.remove(stack)
      if top then x, y = top[1], top[2] end
    elseif name == "rule" then
      parts[#parts + 1] = { 0, command[3], command[2], x, y }
      x = x + command[3]
    end
  end
end

local function write_fonts()
  local done = {}
  local again = true
  while again do
    again = false
    local ids = {}
    for id in pairs(fonts_used) do
      if not done[id] then ids[#ids + 1] = id end
    end
    table.sort(ids)
    for _, id in ipairs(ids) do
      again = true
      done[id] = true
      local data = font_data(id) or {}
      -- OpenType fonts say where a glyph's ink begins and ends, in units of the design.
      local raw = data.shared and data.shared.rawdata
      local outlines = raw and raw.descriptions
      local units = raw and raw.metadata and raw.metadata.units or data.units or 1000
      local unit = (data.size or 0) / (units > 0 and units or 1000)
      -- Larger sizes of a delimiter or accent hang on a chain that begins with the named one.
      local smaller, chain = {}, {}
      if (data.encodingbytes or 0) ~= 2 then
        for code, info in pairs(data.characters or {}) do
          if info.next and info.next ~= code then smaller[info.next] = code end
          for _, part in pairs(info.extensible or {}) do
            if type(part) == "number" and part ~= 0 and part ~= code then
              smaller[part] = smaller[part] or code
            end
          end
        end
        local used = {}
        for code in pairs(fonts_used[id]) do used[#used + 1] = code end
        table.sort(used)
        for _, code in ipairs(used) do
          local root, steps = code, 0
          while smaller[root] and steps < 12 do root, steps = smaller[root], steps + 1 end
          if root ~= code then
            chain[#chain + 1] = format("[%d,%d]", code, root)
            fonts_used[id][root] = true
          end
        end
      end
      local codes = {}
      for code in pairs(fonts_used[id]) do codes[#codes + 1] = code end
      table.sort(codes)
      local chars = {}
      for i, code in ipairs(codes) do
        local info = data.characters and data.characters[code] or {}
        local parts = {}
        if info.commands then flatten(id, code, 0, 0, parts, 0) end
        local texts = {}
        for j, part in ipairs(parts) do
          for k2, v in ipairs(part) do part[k2] = format("%.0f", v) end
          texts[j] = "[" .. concat(part, ",") .. "]"
        end
        local ink = outlines and outlines[code] and outlines[code].boundingbox
        local sides = ""
        if ink then sides = format(",%.0f,%.0f", ink[1] * unit, ink[3] * unit) end
        chars[i] = format('[%d,%.0f,%.0f,%.0f,%s,[%s]%s]', code, info.width or 0, info.height or 0,
          info.depth or 0, quote(tounicode(info.tounicode)), concat(texts, ","), sides)
      end
      local shared = data.shared and data.shared.rawdata and data.shared.rawdata.metadata or {}
      local params = data.parameters or {}
      out(format('["font",%d,%s,%s,%s,%.0f,%d,%s,%.0f,%s,[%s]]', id, quote(data.name or ""),
        quote(data.psname or data.fullname or shared.fontname or ""),
        quote(data.type or ""), data.size or 0, data.encodingbytes or 0,
        quote(data.filename and tostring(data.filename):match("[^/]*$") or ""),
        params.quad or params[6] or 0, (params.slant or 0) ~= 0 and "1" or "0",
        concat(chars, ",")))
      -- Fonts of LaTeX are identified by encoding/family/series/shape/size.
      local selected = tex.fontidentifier(id) or ""
      if selected:match("^\\[^/]+/[^/]*/[^/]*/[^/]*/") then
        out(format('["nfss",%d,%s]', id, quote(selected:sub(2))))
      end
      if #chain > 0 then out(format('["chain",%d,[%s]]', id, concat(chain, ","))) end
    end
    -- Flattening may have named characters of fonts already written.
  end
end

-- Called at the end of the run, and by \stop-like ends through the callback.
local finished = false
function gt.finish()
  if finished or gt.is_draft then return end
  finished = true
  maths_names(out)
  write_fonts()
  out(format('["end",%d,%.3f]', pages, os.clock()))
  if file then file:close() file = nil end
end

luatexbase.add_to_callback("pre_mlist_to_hlist_filter", before_math, "nanovl-gt.before")
luatexbase.add_to_callback("post_mlist_to_hlist_filter", after_math, "nanovl-gt.after")
luatexbase.add_to_callback("post_linebreak_filter", linebreak, "nanovl-gt.lines")
luatexbase.add_to_callback("buildpage_filter", before_page, "nanovl-gt.notes")
luatexbase.add_to_callback("pre_shipout_filter", shipout, "nanovl-gt.shipout")
luatexbase.add_to_callback("wrapup_run", gt.finish, "nanovl-gt.finish")
return gt
