"""The style sheet of a screen: one text made out of a theme. Must not know any content."""

from __future__ import annotations

from nanovl.synth.screens.theme import Theme

__all__ = ["style_sheet"]

_SHEET = """
*{box-sizing:border-box}
html,body{margin:0;background:PAGE}
body{font:SIZEpx/1.4 FACE;color:INK;overflow:hidden}
body.whole{overflow:visible}
h1,h2,h3{font-family:HEAD;font-weight:WEIGHT;margin:0;line-height:1.25}
h1{font-size:1.6em}h2{font-size:1.25em}h3{font-size:1.05em}
p{margin:0}
button{font:inherit;color:inherit;background:none;border:0;padding:0;margin:0;text-align:center}
a{color:inherit;text-decoration:none}
hr{border:0;border-top:1px solid LINE;margin:GAPpx 0;width:100%}
label{font-size:.92em}
.row{display:flex;align-items:center;gap:GAPpx}
.wrap{flex-wrap:wrap}.top{align-items:flex-start}.between{justify-content:space-between}
.end{justify-content:flex-end}
.col{display:flex;flex-direction:column;gap:GAPpx}
.grow{flex:1;min-width:0}
.pad{padding:calc(GAPpx*1.5)}
.muted{color:MUTED;font-size:.9em}
.small{font-size:.85em}
.strong{font-weight:700}
.good{color:GOOD}.bad{color:BAD}.warn{color:WARN}
.accent{color:ACCENT}
.mono{font-family:MONO}
.app{display:flex;flex-direction:column;min-height:100vh}
.main{display:flex;flex:1;min-height:0}
.bar{display:flex;align-items:center;gap:calc(GAPpx*1.2);padding:GAPpx calc(GAPpx*2);
background:BARGROUND;color:BARINK;border-bottom:1px solid LINE;min-height:52px}
.bar .field{background:SURFACE;color:INK}
.bar .muted{color:inherit;opacity:.95}
.brand{display:flex;align-items:center;gap:8px;font-size:1.15em;padding:2px 8px;background:SURFACE;
color:INK;border-radius:RADIUSpx}
.side{display:flex;flex-direction:column;gap:2px;padding:GAPpx;width:220px;flex:none;
background:SURFACE;border-right:1px solid LINE}
.entry{display:flex;align-items:center;gap:10px;padding:calc(GAPpx*.8) GAPpx;border-radius:RADIUSpx}
.entry.on{background:TINT;font-weight:700}
.content{flex:1;min-width:0;padding:calc(GAPpx*2);display:flex;flex-direction:column;
gap:calc(GAPpx*1.5)}
.card{background:SURFACE;border-radius:RADIUSpx;padding:calc(GAPpx*1.5);BOXBORDER;box-shadow:SHADOW}
.grid{display:grid;gap:calc(GAPpx*1.5)}
.btn{display:inline-flex;align-items:center;justify-content:center;gap:8px;
padding:calc(GAPpx*.75) calc(GAPpx*1.7);border-radius:RADIUSpx;background:RAISED;color:INK;
border:1px solid LINE;white-space:nowrap;min-height:30px}
.btn.main{background:ACCENT;color:ONACCENT;border-color:ACCENT;font-weight:600;flex:none}
.btn.plain{background:none;border-color:transparent;color:ACCENT;font-weight:600}
.btn.danger{background:none;border-color:BAD;color:BAD}
.btn.off{opacity:.62;border-style:dashed}
.btn.block{width:100%}
.tool{display:inline-flex;padding:7px;border-radius:RADIUSpx;flex:none}
.tool.boxed{border:1px solid LINE;background:RAISED;color:INK}
.tool.round{border-radius:50%;background:ACCENT;color:ONACCENT;padding:12px}
.tool.lit{color:ACCENT}
.link{color:ACCENT;text-decoration:underline}
.labelled{display:flex;flex-direction:column;gap:4px}
.field{display:flex;align-items:center;gap:8px;background:FIELD;border:1px solid LINE;
border-radius:RADIUSpx;padding:calc(GAPpx*.75) GAPpx;min-height:34px;white-space:nowrap;
overflow:hidden;min-width:0}
.field.focus{border-color:ACCENT;box-shadow:0 0 0 3px TINT,inset 0 0 0 1px ACCENT}
.field.wrong{border-color:BAD;box-shadow:inset 0 0 0 1px BAD}
.field.tall{min-height:90px;align-items:flex-start;white-space:normal}
.field.pick{justify-content:space-between}
.hint{color:MUTED}
.error{color:BAD;font-size:.88em}
.ticked{display:inline-flex;align-items:center;gap:9px;padding:2px 8px 2px 0;font-size:1em}
.ticked.faint{opacity:.7}
.checkbox,.radio{width:18px;height:18px;border:2px solid MUTED;background:FIELD;flex:none;
display:inline-flex;align-items:center;justify-content:center;border-radius:SMALLpx}
.radio{border-radius:50%}
.checkbox.on{background:ACCENT;border-color:ACCENT;color:ONACCENT}
.radio.on{border:6px solid ACCENT}
.switch{width:40px;height:22px;border-radius:11px;background:RAISED;flex:none;display:inline-block;
box-shadow:inset 0 0 0 2px MUTED,inset 0 0 0 9px RAISED;position:relative}
.switch.on{background:ACCENT;box-shadow:none}
.switch::after{content:"";position:absolute;top:4px;left:4px;width:14px;height:14px;
border-radius:7px;background:MUTED}
.switch.on::after{left:22px;background:ONACCENT}
.track{position:relative;height:18px;flex:1;min-width:80px}
.track::before{content:"";position:absolute;left:0;right:0;top:7px;height:4px;border-radius:2px;
background:LINE}
.track .fill{position:absolute;left:0;top:7px;height:4px;border-radius:2px;background:ACCENT}
.track .knob{position:absolute;top:1px;width:16px;height:16px;margin-left:-8px;border-radius:50%;
background:ACCENT}
.track.thin{height:8px}.track.thin::before,.track.thin .fill{top:2px}
.tabs{display:flex;gap:4px;border-bottom:1px solid LINE;flex-wrap:wrap}
.tab{padding:GAPpx calc(GAPpx*1.5);border-bottom:3px solid transparent}
.tab.on{border-bottom-color:ACCENT;color:ACCENT;font-weight:700}
.tabs.pills{border:0;gap:GAPpx}.pills .tab{border:1px solid LINE;border-radius:20px}
.pills .tab.on{background:ACCENT;color:ONACCENT;border-color:ACCENT}
.menu{list-style:none;margin:0;padding:6px 0;background:SURFACE;border:1px solid LINE;
border-radius:RADIUSpx;box-shadow:0 6px 20px rgba(0,0,0,.3);min-width:190px;z-index:5}
.item{display:flex;align-items:center;gap:10px;padding:calc(GAPpx*.6) 16px;white-space:nowrap}
.badge{display:inline-block;background:RAISED;color:INK;border-radius:9px;padding:1px 8px;
font-size:.82em;white-space:nowrap;flex:none}
.badge.full{background:ACCENT;color:ONACCENT}
.avatar{border-radius:50%;color:#fff;display:inline-flex;align-items:center;justify-content:center;
flex:none;font-weight:600}
.pic{overflow:hidden;border-radius:RADIUSpx;flex:none}
table{border-collapse:collapse;width:100%;background:SURFACE}
th,td{text-align:left;padding:calc(GAPpx*.7) GAPpx;border-bottom:1px solid LINE}
th{font-weight:WEIGHT;background:RAISED}
.number{text-align:right}
.over{position:absolute;left:0;top:0;right:0;bottom:0;background:rgba(0,0,0,.5);display:flex;
align-items:center;justify-content:center;z-index:9}
.dialog{width:min(430px,88%);background:SURFACE;color:INK;border-radius:RADIUSpx;
padding:calc(GAPpx*2.2);display:flex;flex-direction:column;gap:calc(GAPpx*1.5);
box-shadow:0 12px 40px rgba(0,0,0,.4)}
.strip{position:absolute;left:0;right:0;bottom:0;background:RAISED;border-top:1px solid LINE;
display:flex;gap:GAPpx;align-items:center;padding:calc(GAPpx*1.5);flex-wrap:wrap;z-index:8}
.toast{position:absolute;right:20px;bottom:20px;background:INK;color:SURFACE;padding:12px 14px;
border-radius:RADIUSpx;display:flex;gap:12px;align-items:center;z-index:8}
.bubble{max-width:72%;padding:calc(GAPpx*.9) calc(GAPpx*1.4);border-radius:14px;
background:SURFACE;border:1px solid LINE}
.mine .bubble{background:ACCENT;color:ONACCENT;border-color:ACCENT}
.mine{justify-content:flex-end}
"""

# What has the accent colour elsewhere would vanish on a bar that has it.
_COLOURED = """
.bar .link,.bar .tool{color:inherit}
.bar .btn,.bar .badge,.bar .badge.full,.bar .tab,.bar .tool.boxed{background:SURFACE;color:INK;
border-color:LINE}
.bar .tab.on{background:TINT;color:INK}
.bar .tool.round{background:ONACCENT;color:ACCENT}
.bar .track .fill,.bar .track .knob{background:ONACCENT}
"""


def style_sheet(theme: Theme, *, coloured_bar: bool = False) -> str:
    """The style sheet of a theme.

    Args:
        theme: Looks.
        coloured_bar: Whether the top bar has the accent colour.
    """
    border = f"border:1px solid {theme.line}" if theme.bordered else "border:1px solid transparent"
    values = {
        "PAGE": theme.page,
        "ONACCENT": theme.on_accent,
        "ACCENT": theme.accent,
        "SURFACE": theme.surface,
        "RAISED": theme.raised,
        "MUTED": theme.muted,
        "LINE": theme.line,
        "TINT": theme.tint,
        "GOOD": theme.good,
        "WARN": theme.warn,
        "BAD": theme.bad,
        "FIELD": theme.page if theme.is_dark else theme.surface,
        "SHADOW": theme.shadow,
        "BOXBORDER": border,
        "BARGROUND": theme.accent if coloured_bar else theme.surface,
        "BARINK": theme.on_accent if coloured_bar else theme.ink,
        "INK": theme.ink,
        "FACE": f'"{theme.face}"',
        "HEAD": f'"{theme.head}"',
        "MONO": f'"{theme.mono}"',
        "WEIGHT": str(theme.weight),
        "SIZE": str(theme.size),
        "GAP": str(theme.gap),
        "RADIUS": str(theme.radius),
        "SMALL": str(min(theme.radius, 5)),
    }
    sheet = _SHEET + (_COLOURED if coloured_bar else "")
    for name in sorted(values, key=len, reverse=True):
        sheet = sheet.replace(name, values[name])
    return sheet
