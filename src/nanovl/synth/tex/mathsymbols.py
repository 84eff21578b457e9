"""Characters of maths and the LaTeX commands that print them. Tables only.

Source: data synthesis specification, section 3.10; names as in LaTeX's fontmath and amssymb.
"""

from __future__ import annotations

__all__ = [
    "ACCENTS",
    "ALPHABETS",
    "BIG_SIZES",
    "COMMANDS",
    "DELIMITERS",
    "OPERATORS",
    "SEQUENCES",
    "TFM_NAMES",
]


def _table(text: str) -> dict[str, str]:
    words = text.split()
    return {chr(int(words[i], 16)): "\\" + words[i + 1] for i in range(0, len(words), 2)}


# Code point, command. Greek letters follow the classic fonts (phi and epsilon by glyph name).
COMMANDS = _table("""
391 mathrm{A} 393 Gamma 394 Delta 398 Theta 39B Lambda 39E Xi 3A0 Pi 3A3 Sigma 3A5 Upsilon 3A6 Phi
3A8 Psi 3A9 Omega 3B1 alpha 3B2 beta 3B3 gamma 3B4 delta 3B5 varepsilon 3B6 zeta 3B7 eta 3B8 theta
3B9 iota 3BA kappa 3BB lambda 3BC mu B5 mu 3BD nu 3BE xi 3C0 pi 3C1 rho 3C2 varsigma 3C3 sigma
3C4 tau 3C5 upsilon 3C6 varphi 3C7 chi 3C8 psi 3C9 omega 3D1 vartheta 3D5 phi 3D6 varpi
3F0 varkappa 3F1 varrho 3F5 epsilon 2126 Omega 2206 Delta 2207 nabla 2202 partial 221E infty
2200 forall 2203 exists 2204 nexists 2205 emptyset 2208 in 2209 notin 220B ni 220F prod
2210 coprod 2211 sum 2213 mp 2214 dotplus 2216 setminus 2217 ast 2218 circ 2219 bullet
2022 bullet 221A surd 221D propto 2220 angle 2221 measuredangle 2222 sphericalangle 2223 mid
2224 nmid 2225 parallel 2226 nparallel 2016 Vert 2227 wedge 2228 vee 2229 cap 222A cup 222B int
222C iint 222D iiint 222E oint 2234 therefore 2235 because 223C sim 223D backsim 2240 wr 2241 nsim
2242 eqsim 2243 simeq 2245 cong 2247 ncong 2248 approx 224A approxeq 224D asymp 224E Bumpeq
224F bumpeq 2250 doteq 2251 doteqdot 2252 fallingdotseq 2253 risingdotseq 2256 eqcirc 2257 circeq
225C triangleq 2260 neq 2261 equiv 2264 leq 2265 geq 2266 leqq 2267 geqq 2268 lneqq 2269 gneqq
226A ll 226B gg 226C between 226E nless 226F ngtr 2270 nleq 2271 ngeq 2272 lesssim 2273 gtrsim
2276 lessgtr 2277 gtrless 227A prec 227B succ 227C preccurlyeq 227D succcurlyeq 227E precsim
227F succsim 2280 nprec 2281 nsucc 2282 subset 2283 supset 2286 subseteq 2287 supseteq
2288 nsubseteq 2289 nsupseteq 228A subsetneq 228B supsetneq 228E uplus 228F sqsubset 2290 sqsupset
2291 sqsubseteq 2292 sqsupseteq 2293 sqcap 2294 sqcup 2295 oplus 2296 ominus 2297 otimes
2298 oslash 2299 odot 229A circledcirc 229B circledast 229D circleddash 229E boxplus 229F boxminus
22A0 boxtimes 22A1 boxdot 22A2 vdash 22A3 dashv 22A4 top 22A5 bot 27C2 perp 22A7 models 22A8 vDash
22A9 Vdash 22AA Vvdash 22AC nvdash 22AD nvDash 22B2 vartriangleleft 22B3 vartriangleright
22B4 trianglelefteq
22B5 trianglerighteq 22B8 multimap 22BA intercal 22BB veebar 22BC barwedge 22C0 bigwedge
22C1 bigvee 22C2 bigcap 22C3 bigcup 22C4 diamond 22C5 cdot B7 cdot 22C6 star 22C8 bowtie
22C9 ltimes 22CA rtimes 22CB leftthreetimes 22CC rightthreetimes 22CD backsimeq 22CE curlyvee
22CF curlywedge 22D0 Subset 22D1 Supset 22D2 Cap 22D3 Cup 22D4 pitchfork 22D6 lessdot 22D7 gtrdot
22D8 lll 22D9 ggg 22DA lesseqgtr 22DB gtreqless 22DE curlyeqprec 22DF curlyeqsucc 22E6 lnsim
22E7 gnsim 22EE vdots 22EF cdots 22F1 ddots 2190 leftarrow 2191 uparrow 2192 rightarrow
2193 downarrow 2194 leftrightarrow 2195 updownarrow 2196 nwarrow 2197 nearrow 2198 searrow
2199 swarrow 219A nleftarrow 219B nrightarrow 219D rightsquigarrow 219E twoheadleftarrow
21A0 twoheadrightarrow 21A2 leftarrowtail 21A3 rightarrowtail 21A6 mapsto 21A9 hookleftarrow
21AA hookrightarrow 21AB looparrowleft 21AC looparrowright 21AD leftrightsquigarrow
21BA circlearrowleft 21BB circlearrowright 21BC leftharpoonup 21BD leftharpoondown
21BE upharpoonright 21C0 rightharpoonup 21C1 rightharpoondown 21C4 rightleftarrows
21C6 leftrightarrows 21C7 leftleftarrows 21C9 rightrightarrows 21CB leftrightharpoons
21CC rightleftharpoons 21CD nLeftarrow 21CF nRightarrow 21D0 Leftarrow 21D1 Uparrow 21D2 Rightarrow
21D3 Downarrow 21D4 Leftrightarrow 21D5 Updownarrow 21DA Lleftarrow 21DB Rrightarrow
27F5 longleftarrow 27F6 longrightarrow 27F7 longleftrightarrow 27F8 Longleftarrow
27F9 Longrightarrow 27FA Longleftrightarrow 27FC longmapsto 2308 lceil 2309 rceil 230A lfloor
230B rfloor 27E8 langle 27E9 rangle 2329 langle 232A rangle 2118 wp 211C Re 2111 Im 2113 ell
2135 aleph 2136 beth 2137 gimel 2138 daleth 210F hbar 2127 mho 2132 Finv 2141 Game F0 eth
131 imath 237 jmath B1 pm D7 times F7 div AC neg A7 S B6 P 2020 dagger 2021 ddagger 2032 prime
2026 ldots 25A0 blacksquare 25A1 square 25AA blacksquare 25B2 blacktriangle 25B3 triangle
25BC blacktriangledown 25BD triangledown 25B4 blacktriangle 25B6 blacktriangleright
25C0 blacktriangleleft 25C7 Diamond 25CA lozenge 25EF bigcirc 2605 bigstar 2660 spadesuit
2661 heartsuit 2662 diamondsuit 2663 clubsuit 2666 diamondsuit 2665 heartsuit 266D flat
266E natural 266F sharp 2713 checkmark 2720 maltese 2A00 bigodot 2A01 bigoplus 2A02 bigotimes
2A04 biguplus 2A06 bigsqcup 2A7D leqslant 2A7E geqslant 2AAF preceq 2AB0 succeq 29EB blacklozenge
29F5 setminus 2A3F amalg 25B9 triangleright 25C3 triangleleft 25C1 triangleleft 25B7 triangleright
A3 pounds 2322 frown 2323 smile 2A85 lessapprox 2A86 gtrapprox 2ABC succneqq 2ABB precneqq 2AB7
precapprox 2AB8 succapprox 2A87 lneq 2A88 gneq 2AC5 subseteqq 2AC6 supseteqq 2ACB subsetneqq 2ACC
supsetneqq 2306 doublebarwedge 2605 bigstar 24C8 circledS AE circledR A5 yen 2571 diagup 2572
diagdown 2035 backprime 220D backepsilon 3DD digamma 3DC digamma 2A3D llcorner 231C ulcorner 231D
urcorner 231E llcorner 231F lrcorner
""")
COMMANDS |= {
    "{": "\\{", "}": "\\}", "#": "\\#", "%": "\\%", "&": "\\&", "_": "\\_", "$": "\\$",
    "\\": "\\backslash", "\u2212": "-", "\u2215": "/", "\u2044": "/", "\u2217": "*",
    "\u2032": "\\prime", "\u00a0": "\\ ", "~": "\\sim", "\u02dc": "\\sim", "^": "\\wedge",
    "\u2019": "'", "\u2018": "`",
}  # fmt: skip

# Glyph names of the classic maths fonts that Unicode lists map otherwise.
TFM_NAMES = {
    "phi": "\\phi", "phi1": "\\varphi", "epsilon": "\\varepsilon", "epsilon1": "\\epsilon",
    "theta1": "\\vartheta", "pi1": "\\varpi", "rho1": "\\varrho", "sigma1": "\\varsigma",
    "asteriskmath": "*", "minus": "-", "bar": "|", "bardbl": "\\|", "openbullet": "\\circ",
    "owner": "\\ni", "logicalnot": "\\neg", "perpendicular": "\\bot", "latticetop": "\\top",
    "epsiloninv": "\\backepsilon", "star": "\\star", "slurabove": "\\frown",
    "slurbelow": "\\smile", "slurright": "\\rhook", "arrowhookleft": "\\lhook",
    "arrowhookright": "\\rhook", "mapsto": "\\mapstochar", "negationslash": "\\not",
    "triangleright": "\\triangleright", "triangleleft": "\\triangleleft",
    "equivasymptotic": "\\asymp", "reflexsubset": "\\subseteq", "reflexsuperset": "\\supseteq",
    "greatermuch": "\\gg", "lessmuch": "\\ll", "follows": "\\succ", "precedes": "\\prec",
    "followsequal": "\\succeq", "precedesequal": "\\preceq", "coproduct": "\\amalg",
    "wreathproduct": "\\wr", "section": "\\S", "paragraph": "\\P", "triangle": "\\bigtriangleup",
    "triangleinv": "\\bigtriangledown", "slash": "/", "period": ".", "comma": ",",
    "unionmulti": "\\uplus", "diamondmath": "\\diamond", "circledivide": "\\oslash",
    "bullet": "\\bullet", "divide": "\\div", "circlecopyrt": "\\bigcirc", "dotmath": "\\cdot",
    "periodcentered": "\\cdot", "element": "\\in", "propersubset": "\\subset",
    "propersuperset": "\\supset", "prime": "\\prime", "emptyset": "\\emptyset",
    "Rfractur": "\\Re", "Ifractur": "\\Im", "weierstrass": "\\wp", "dotlessi": "\\imath",
    "dotlessj": "\\jmath", "lscript": "\\ell", "partialdiff": "\\partial",
    "harpoonleftup": "\\leftharpoonup", "harpoonleftdown": "\\leftharpoondown",
    "harpoonrightup": "\\rightharpoonup", "harpoonrightdown": "\\rightharpoondown",
    "integraldisplay": "\\int", "integraltext": "\\int", "contintegraldisplay": "\\oint",
    "contintegraltext": "\\oint", "coproductdisplay": "\\coprod", "coproducttext": "\\coprod",
    "productdisplay": "\\prod", "producttext": "\\prod", "summationdisplay": "\\sum",
    "summationtext": "\\sum", "uniontext": "\\bigcup", "uniondisplay": "\\bigcup",
    "intersectiontext": "\\bigcap", "intersectiondisplay": "\\bigcap",
    "unionmultitext": "\\biguplus", "unionmultidisplay": "\\biguplus",
    "logicalandtext": "\\bigwedge", "logicalanddisplay": "\\bigwedge",
    "logicalortext": "\\bigvee", "logicalordisplay": "\\bigvee",
    "circledottext": "\\bigodot", "circledotdisplay": "\\bigodot",
    "circleplustext": "\\bigoplus", "circleplusdisplay": "\\bigoplus",
    "circlemultiplytext": "\\bigotimes", "circlemultiplydisplay": "\\bigotimes",
    "unionsqtext": "\\bigsqcup", "unionsqdisplay": "\\bigsqcup", "spade": "\\spadesuit",
    "heart": "\\heartsuit", "diamond": "\\diamondsuit", "club": "\\clubsuit", "flat": "\\flat",
    "natural": "\\natural", "sharp": "\\sharp", "similar": "\\sim", "similarequal": "\\simeq",
    "approxequal": "\\approx", "radical": "\\surd", "backslash": "\\setminus",
    "square": "\\square", "lozenge": "\\lozenge", "planckover2pi": "\\hslash",
    "planckover2pi1": "\\hbar", "hyphen": "\\text{-}", "bardblbig": "\\|", "vector": "\\vec",
    "turnstileleft": "\\vdash", "turnstileright": "\\dashv",
    "parenleft": "(", "parenright": ")", "bracketleft": "[", "bracketright": "]",
}  # fmt: skip

DELIMITERS = {
    "(": "(", ")": ")", "[": "[", "]": "]", "{": "\\{", "}": "\\}", "|": "|", "\u2223": "|",
    "\u2225": "\\|", "\u2016": "\\|", "/": "/", "\\": "\\backslash", "\u2216": "\\backslash",
    "\u27e8": "\\langle", "\u27e9": "\\rangle", "\u2329": "\\langle", "\u232a": "\\rangle",
    "\u3008": "\\langle", "\u3009": "\\rangle", "<": "\\langle", ">": "\\rangle",
    "\u230a": "\\lfloor", "\u230b": "\\rfloor", "\u2308": "\\lceil", "\u2309": "\\rceil",
    "\u2191": "\\uparrow", "\u2193": "\\downarrow", "\u2195": "\\updownarrow",
    "\u21d1": "\\Uparrow", "\u21d3": "\\Downarrow", "\u21d5": "\\Updownarrow",
    "\u231c": "\\ulcorner", "\u231d": "\\urcorner", "\u231e": "\\llcorner",
    "\u231f": "\\lrcorner", "\u27ee": "\\lgroup", "\u27ef": "\\rgroup",
    "\u23b0": "\\lmoustache", "\u23b1": "\\rmoustache",
}  # fmt: skip

ACCENTS = {
    "circumflex": "\\hat", "tilde": "\\tilde", "macron": "\\bar", "vector": "\\vec",
    "dotaccent": "\\dot", "dieresis": "\\ddot", "caron": "\\check", "breve": "\\breve",
    "acute": "\\acute", "grave": "\\grave", "ring": "\\mathring", "hatwide": "\\widehat",
    "tildewide": "\\widetilde", "hatwider": "\\widehat", "hatwidest": "\\widehat",
    "tildewider": "\\widetilde", "tildewidest": "\\widetilde",
    "\u02c6": "\\hat", "\u0302": "\\hat", "^": "\\hat", "~": "\\tilde", "\u02dc": "\\tilde",
    "\u0303": "\\tilde", "\u00af": "\\bar", "\u02c9": "\\bar", "\u0304": "\\bar",
    "\u0305": "\\bar", "\u20d7": "\\vec", "\u2192": "\\vec", "\u02d9": "\\dot",
    "\u0307": "\\dot", "\u00a8": "\\ddot", "\u0308": "\\ddot", "\u02c7": "\\check",
    "\u030c": "\\check", "\u02d8": "\\breve", "\u0306": "\\breve", "\u00b4": "\\acute",
    "\u0301": "\\acute", "`": "\\grave", "\u0300": "\\grave", "\u02da": "\\mathring",
    "\u030a": "\\mathring", "\u20db": "\\dddot",
}  # fmt: skip

OPERATORS = frozenset(
    {
        "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "coth", "csc", "deg", "det",
        "dim", "exp", "gcd", "hom", "inf", "ker", "lg", "lim", "ln", "log", "max", "min", "Pr",
        "sec", "sin", "sinh", "sup", "tan", "tanh",
    }
)  # fmt: skip

# Part of a font's name -> alphabet command; the first that matches counts.
ALPHABETS = (
    ("msbm", "mathbb"), ("bbm", "mathbb"), ("dsrom", "mathbb"), ("bbold", "mathbb"),
    ("euf", "mathfrak"), ("yfrak", "mathfrak"), ("eus", "mathscr"), ("rsfs", "mathscr"),
    ("cmbsy", "boldcal"), ("cmsy", "mathcal"), ("lmsy", "mathcal"), ("txsy", "mathcal"),
    ("zplmr7y", "mathcal"), ("cmmib", "boldsymbol"), ("cmbxti", "boldsymbol"),
    ("lmmib", "boldsymbol"), ("cmmi", ""), ("lmmi", ""), ("zplmr7m", ""), ("ztmcm7m", ""),
    ("cmbx", "mathbf"), ("cmb10", "mathbf"), ("lmroman", "mathrm"), ("cmss", "mathsf"),
    ("lmsans", "mathsf"), ("cmtt", "mathtt"), ("lmmono", "mathtt"), ("lmtt", "mathtt"),
    ("cmti", "mathit"), ("cmsl", "mathit"), ("cmr", "mathrm"), ("lmr", "mathrm"),
)  # fmt: skip

# Total height of the empty box inside \big and its kin, in sizes of the font: plain and amsmath.
BIG_SIZES = (
    (0.85, "\\big"), (1.2, "\\big"), (1.15, "\\Big"), (1.8, "\\Big"), (1.45, "\\bigg"),
    (2.4, "\\bigg"), (1.75, "\\Bigg"), (3.0, "\\Bigg"),
)  # fmt: skip

# What macros of LaTeX expand to, put back.
SEQUENCES = (
    (("\\not", "="), "\\neq"),
    (("\\not", "\\in"), "\\notin"),
    (("=", "\\joinrel", "\\Rightarrow"), "\\Longrightarrow"),
    (("\\Leftarrow", "\\joinrel", "="), "\\Longleftarrow"),
    (("\\Leftarrow", "\\joinrel", "\\Rightarrow"), "\\Longleftrightarrow"),
    (("-", "\\joinrel", "\\rightarrow"), "\\longrightarrow"),
    (("\\leftarrow", "\\joinrel", "-"), "\\longleftarrow"),
    (("\\leftarrow", "\\joinrel", "\\rightarrow"), "\\longleftrightarrow"),
    (("\\mapstochar", "-", "\\joinrel", "\\rightarrow"), "\\longmapsto"),
    (("\\mapstochar", "\\longrightarrow"), "\\longmapsto"),
    (("\\mapstochar", "\\rightarrow"), "\\mapsto"),
    (("\\lhook", "\\joinrel", "\\rightarrow"), "\\hookrightarrow"),
    (("\\leftarrow", "\\joinrel", "\\rhook"), "\\hookleftarrow"),
    (("|", "\\joinrel", "="), "\\models"),
    (("\\mid", "\\joinrel", "="), "\\models"),
    (("\\triangleright", "\\joinrel", "\\triangleleft"), "\\bowtie"),
)
