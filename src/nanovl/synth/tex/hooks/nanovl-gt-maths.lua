-- What the engine itself calls its maths characters: symbol commands, accents, delimiters, the
-- codes of the keyboard's characters, alphabets, and the fonts of the families. Read from the
-- definitions in force at the end of the run; sets nothing and typesets nothing.
-- Source: data synthesis specification, sections 3.9 and 3.10.

-- Where several commands print one character, the first counts.
local SYMBOLS = [[
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
phi chi psi omega varepsilon vartheta varpi varrho varsigma varphi varkappa digamma
Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
varGamma varDelta varTheta varLambda varXi varPi varSigma varUpsilon varPhi varPsi varOmega
aleph beth gimel daleth hbar hslash imath jmath ell wp Re Im partial infty prime emptyset
varnothing nabla surd top bot angle triangle forall exists nexists neg flat natural sharp
clubsuit diamondsuit heartsuit spadesuit complement eth mho Finv Game Bbbk circledS backprime
blacktriangle blacktriangledown blacksquare blacklozenge bigstar sphericalangle measuredangle
square lozenge vartriangle triangledown diagup diagdown maltese checkmark circledR yen
int oint iint iiint iiiint oiint oiiint idotsint smallint sum prod coprod bigcap bigcup bigvee
bigwedge bigsqcup bigodot bigotimes bigoplus biguplus
pm mp times ast star circ bullet div cap cup uplus sqcap sqcup triangleleft triangleright
bigtriangleup bigtriangledown wr bigcirc vee wedge oplus ominus otimes oslash odot cdot diamond
dagger ddagger amalg setminus smallsetminus dotplus Cap Cup barwedge veebar doublebarwedge
boxminus boxtimes boxdot boxplus divideontimes ltimes rtimes leftthreetimes rightthreetimes
curlywedge curlyvee circleddash circledast circledcirc centerdot intercal gtrdot lessdot lhd rhd
unlhd unrhd
leq geq equiv prec succ sim perp mid parallel preceq succeq simeq ll gg asymp subset supset approx
subseteq supseteq cong sqsubset sqsupset neq sqsubseteq sqsupseteq doteq in ni notin propto vdash
dashv models smile frown bowtie leqq leqslant eqslantless lesssim lessapprox approxeq lll lessgtr
lesseqgtr lesseqqgtr doteqdot risingdotseq fallingdotseq backsim backsimeq subseteqq Subset
preccurlyeq curlyeqprec precsim precapprox vartriangleleft trianglelefteq vDash Vvdash smallsmile
smallfrown bumpeq Bumpeq geqq geqslant eqslantgtr gtrsim gtrapprox eqsim ggg gtrless gtreqless
gtreqqless eqcirc circeq triangleq thicksim thickapprox supseteqq Supset succcurlyeq curlyeqsucc
succsim succapprox vartriangleright trianglerighteq Vdash shortmid shortparallel between pitchfork
varpropto blacktriangleleft therefore backepsilon blacktriangleright because
nless nleq nleqslant nleqq lneq lneqq lvertneqq lnsim lnapprox nprec npreceq precneqq precnsim
precnapprox nsim nshortmid nmid nvdash nvDash ntriangleleft ntrianglelefteq nsubseteq nsubseteqq
subsetneq varsubsetneq subsetneqq varsubsetneqq ngtr ngeq ngeqslant ngeqq gneq gneqq gvertneqq
gnsim gnapprox nsucc nsucceq succneqq succnsim succnapprox ncong nshortparallel nparallel nVdash
nVDash ntriangleright ntrianglerighteq nsupseteq nsupseteqq supsetneq varsupsetneq supsetneqq
varsupsetneqq
leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow mapsto hookleftarrow
hookrightarrow leftharpoonup leftharpoondown rightharpoonup rightharpoondown rightleftharpoons
leftrightharpoons longleftarrow longrightarrow longleftrightarrow Longleftarrow Longrightarrow
Longleftrightarrow longmapsto nearrow searrow swarrow nwarrow leadsto rightsquigarrow
leftrightsquigarrow leftleftarrows leftrightarrows Lleftarrow twoheadleftarrow leftarrowtail
looparrowleft curvearrowleft circlearrowleft Lsh upuparrows upharpoonleft downharpoonleft multimap
rightrightarrows rightleftarrows Rrightarrow twoheadrightarrow rightarrowtail looparrowright
curvearrowright circlearrowright Rsh downdownarrows upharpoonright downharpoonright nleftarrow
nrightarrow nLeftarrow nRightarrow nleftrightarrow nLeftrightarrow
not mapstochar lhook rhook ldots cdots vdots ddots colon coloneqq eqqcolon llbracket rrbracket
bigstar Join
]]
local ALIASES = { intop = "int", ointop = "oint", iintop = "iint", iiintop = "iiint",
  ["sum@"] = "sum", sumop = "sum", ["prod@"] = "prod", prodop = "prod", ["coprod@"] = "coprod",
  coprodop = "coprod", owns = "ni", lnot = "neg", land = "wedge", lor = "vee", gets = "leftarrow",
  unicodecdots = "cdots", unicodeldots = "ldots", unicodevdots = "vdots", unicodeddots = "ddots",
  to = "rightarrow", le = "leq", ge = "geq", ne = "neq", Box = "square", Diamond = "lozenge" }
local DELIMITERS = [[
lvert rvert lVert rVert vert Vert lbrace rbrace langle rangle lfloor rfloor lceil rceil backslash
uparrow downarrow updownarrow Uparrow Downarrow Updownarrow lgroup rgroup lmoustache rmoustache
ulcorner urcorner llcorner lrcorner llbracket rrbracket
]]
local ACCENTS = [[
hat tilde bar vec dot ddot dddot ddddot check breve acute grave mathring widehat widetilde
]]
local ALPHABETS = [[
mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak mathscr mathnormal mathbfit mathbfsf
mathbm mathbbm mathds mathbold mathfrakbold mathbfcal mathbcal mathbscr EuScript mathpzc
mathsfbf mathsfit
]]

local format, concat = string.format, table.concat

-- The replacement text of a macro, that of its robust inner macro where it is only a front.
local function body_of(name)
  local text = token.get_macro(name)
  if text and text:find("\\protect", 1, true) == 1 then text = token.get_macro(name .. " ") end
  return text or ""
end

local function add(rows, name, class, family, code)
  rows[#rows + 1] = format('["%s",%d,%d,%d]', name, class, family, code)
end

local function symbol(rows, command, name)
  local found = token.create(command)
  if found.cmdname == "math_given" then
    local value = found.mode
    add(rows, name, value >> 12, value >> 8 & 15, value & 255)
  elseif found.cmdname == "xmath_given" then
    local value = found.mode
    add(rows, name, value >> 21 & 7, value >> 24 & 255, value & 0x1FFFFF)
  end
end

-- The number of a family: digits, or a command made by \chardef.
local function family_of(text)
  local digits = text:match("{(%d+)}%s*$")
  if digits then return tonumber(digits) end
  local name = text:match("\\(%a[%w@]*)%s*$")
  local found = name and token.create(name)
  return found and found.cmdname == "char_given" and found.mode
end

-- The family of an alphabet that was used, through the names packages give it.
local function alphabet_of(name)
  for _ = 1, 4 do
    local text = token.get_macro(name)
    if not text then return nil end
    if text:find("use@mathgroup", 1, true) then return family_of(text) end
    local robust = text:match("^\\protect%s*\\([%a@]+)%s*$")
    local other = text:match("^\\([%a@]+)%s*$")
    if not robust and not other then return nil end
    name = robust and robust .. " " or other
  end
end

return function(out)
  local rows = {}
  for name in SYMBOLS:gmatch("%S+") do
    symbol(rows, name, name)
    symbol(rows, name .. " ", name)
  end
  local aliases = {}
  for command in pairs(ALIASES) do aliases[#aliases + 1] = command end
  table.sort(aliases)
  for _, command in ipairs(aliases) do symbol(rows, command, ALIASES[command]) end
  out('["symbols",[' .. concat(rows, ",") .. "]]")

  rows = {}
  for name in DELIMITERS:gmatch("%S+") do
    local class, family, code = body_of(name):match('^\\delimiter%s*"(%x)(%x)(%x%x)%x%x%x%s*$')
    if class then
      add(rows, name, tonumber(class, 16), tonumber(family, 16), tonumber(code, 16))
    end
  end
  for char in ("()[]<>/|"):gmatch(".") do
    local value, code = tex.getdelcodes(char:byte())
    local family = type(value) == "table" and value[1] or value
    code = type(value) == "table" and value[2] or code
    if family and family >= 0 and (family > 0 or code > 0) then
      add(rows, char, 0, family, code)
    end
  end
  out('["delimiters",[' .. concat(rows, ",") .. "]]")

  rows = {}
  for name in ACCENTS:gmatch("%S+") do
    for _, front in ipairs { "mathaccent%s*\"%x", "mathaccentV%s*{%a+}" } do
      for family, code in body_of(name):gmatch("\\" .. front .. "(%x)(%x%x)") do
        add(rows, name, 0, tonumber(family, 16), tonumber(code, 16))
      end
    end
  end
  out('["accents",[' .. concat(rows, ",") .. "]]")

  rows = {}
  local keys = {}
  for char = 33, 126 do
    local value = tex.getmathcodes(char)
    local class, family, code
    if type(value) == "table" then class, family, code = value[1], value[2], value[3]
    else class, family, code = tex.getmathcodes(char) end
    keys[#keys + 1] = format("[%d,%d,%d,%d]", char, class, family, code)
  end
  out('["keys",[' .. concat(keys, ",") .. "]]")

  for name in ALPHABETS:gmatch("%S+") do
    local family = alphabet_of(name) or alphabet_of(name .. " ")
    if family then rows[#rows + 1] = format('["%s",%d]', name, family) end
  end
  out('["alphabets",[' .. concat(rows, ",") .. "]]")

  local widths = {}
  for i, name in ipairs { "thinmuskip", "medmuskip", "thickmuskip" } do
    local glue = tex[name]
    widths[i] = format("%d", type(glue) == "userdata" and glue.width or 0)
  end
  out('["muskips",[' .. concat(widths, ",") .. "]]")

  rows = {}
  for family = 0, 63 do
    local id = node.family_font(family, 0)
    local selected = id and id > 0 and tex.fontidentifier(id) or ""
    if selected:match('^\\[^/"]+/[^/"]*/[^/"]*/[^/"]*/') then
      local name = (font.getfont(id) or {}).name or ""
      rows[#rows + 1] = format('[%d,"%s","%s"]', family, selected:sub(2),
        name:match('^[%w._-]*$') or "")
    end
  end
  out('["families",[' .. concat(rows, ",") .. "]]")
end
