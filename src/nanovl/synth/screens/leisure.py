"""Families of screens for free time: music, news of friends, telephones, journeys, weather.

Each builds the body of one screen with a `Ui`. Must not know how screens are rendered or asked
about.

Source: data synthesis specification, section 8 (application shells, mobile variants).
"""

from __future__ import annotations

from collections.abc import Callable

from nanovl.synth.asking import plural
from nanovl.synth.screens.dom import Node, h
from nanovl.synth.screens.icons import icon
from nanovl.synth.screens.ui import Ui
from nanovl.synth.text.wording import TOWNS

__all__ = ["LEISURE"]


def player(ui: Ui) -> Node:
    """A music player with a list of titles."""
    chosen, rows, keys = 0, [], []
    count = ui.rng.randint(4, 8)
    chosen = ui.rng.randrange(count)
    titles = []
    for k in range(count):
        title, artist = ui.say.title(1, 3), ui.say.person()
        titles.append(title)
        length = f"{ui.rng.randint(1, 6)}:{ui.rng.randint(0, 59):02d}"
        key = ui.key()
        keys.append(key)
        mark = ui.mark("option", title, key=key, noun="track", order=f'play the track "{title}"',
                       group="tracks", place=k, state={"selected": k == chosen})  # fmt: skip
        ui.fact("value", f'the length of the track "{title}"', length, key)
        ui.fact("value", f'the artist of the track "{title}"', artist, key)
        look = f"background:{ui.theme.tint};font-weight:700" if k == chosen else ""
        like = ui.tool("heart", "like", f'like the track "{title}"', near=f'at the track "{title}"')
        rows.append(h("tr", h("td", str(k + 1), cls="muted"), h("td", title), h("td", artist),
                      h("td", length, cls="number"), h("td", like), mark=mark, style=look)
            )  # fmt: skip
    ui.fact("count", "tracks in the list", count, *keys)
    ui.fact("which", "track", titles[chosen], *keys, how="is playing (highlighted)")
    is_playing = bool(ui.rng.random() < 0.5)
    now = (
        ("pause", "pause", "pause the music") if is_playing else ("play", "play", "start the music")
    )
    share = ui.rng.randint(2, 95)
    tools = [("shuffle", "shuffle", "switch shuffling on"), ("rewind", "previous", "skip back"),
             now, ("skip", "next", "skip to the next track"),
             ("speaker", "volume", "mute the sound")]  # fmt: skip
    bar = h("footer", h("div", ui.picture(titles[chosen], "width:52px;height:52px", chosen),
            h("div", titles[chosen], cls="strong"), cls="row"),
            h("div", h("div", *(ui.tool(s, n, o, group="keys", place=k, size=24 if k == 2 else 18,
              cls="round" if k == 2 else "") for k, (s, n, o) in enumerate(tools)), cls="row",
              style="justify-content:center"), ui.progress(share), cls="col grow"),
            cls="bar")  # fmt: skip
    side = ui.side([(ui.t("home"), "house", ""), (ui.t("playlist"), "menu", ""),
                    (ui.t("albums"), "grid", ""), (ui.t("artists"), "person", "")],
                   ui.rng.randrange(4), noun="page")  # fmt: skip
    name = ui.say.title(1, 2)
    ui.about.append(f'a music player with the list "{name}" of {count} tracks')
    main = h("main", h("div", ui.picture(name, "width:120px;height:120px", ui.rng.randrange(99)),
             h("div", h("div", ui.t("playlist"), cls="muted"), ui.heading(name),
               ui.button(ui.t("shuffle"), "play the list in random order", symbol="shuffle",
                         cls="main"), cls="col"), cls="row"), h("table", *rows), cls="content"
            )  # fmt: skip
    return h("div", h("div", side, main, cls="main"), bar, cls="app")


def feed(ui: Ui) -> Node:
    """Posts on a telephone."""
    posts = []
    for _ in range(ui.rng.randint(1, 2)):
        person, likes, text = ui.say.person(), ui.rng.randint(0, 999), ui.say.new_line("text")
        near = f'below the post of "{person}"'
        shown, key = ui.shown(str(likes), "small", "span")
        ui.fact("value", f'the number of likes of the post by "{person}"', str(likes), key)
        name, name_key = ui.shown(person, "strong")
        ui.fact("value", f'the text of the post by "{person}"', text, name_key, key)
        head = h("div", ui.avatar(person), h("div", name, h("div", ui.say.clock(), cls="muted"),
                 cls="grow"), ui.button(ui.t("follow"), f'follow "{person}"', cls="plain",
                 near=f'in the post of "{person}"'), cls="row")  # fmt: skip
        foot = h("div", ui.tool("heart", "like", f'like the post of "{person}"', near=near), shown,
                 ui.tool("pencil", "comment", f'comment on the post of "{person}"', near=near),
                 ui.tool("share", "share", f'share the post of "{person}"', near=near), cls="row"
            )  # fmt: skip
        look = ui.picture(f"post by {person}", f"height:{ui.rng.randint(110, 190)}px",
                          ui.rng.randrange(99))  # fmt: skip
        posts.append(h("section", head, h("p", text), look, foot, cls="card col"))
    ui.about.append(f"a telephone screen with {plural(len(posts), 'post')}")
    top = h("header", ui.brand(), h("div", cls="grow"), ui.tool("search", "search", "search"),
            ui.tool("bell", "notifications", "show the notifications"), cls="bar")  # fmt: skip
    return h("div", top, h("main", *posts, cls="content", style="padding:10px"), _bottom(ui),
             cls="app")  # fmt: skip


def _bottom(ui: Ui) -> Node:
    entries = [("home", "house"), ("search", "search"), ("messages", "mail"), ("profile", "person")]
    chosen = ui.rng.randrange(4)
    group = ui.key()
    made, keys = [], []
    for k, (name, symbol) in enumerate(entries):
        key = ui.key()
        keys.append(key)
        label = ui.t(name)
        mark = ui.mark("tab", label, key=key, noun="tab of the bottom bar", icon=symbol,
                       group=group, order=f'open "{label}" in the bottom bar', place=k,
                       state={"selected": k == chosen})  # fmt: skip
        look = (
            f"color:{ui.theme.accent};font-weight:700" if k == chosen else f"color:{ui.theme.muted}"
        )
        made.append(h("button", h("div", icon(symbol, 22), h("span", label, cls="small"), cls="col",
                      style="align-items:center;gap:2px"), mark=mark, style=f"flex:1;{look}")
            )  # fmt: skip
    ui.fact("which", "entry of the bottom bar", ui.t(entries[chosen][0]), *keys, how="is selected")
    return h("nav", *made, cls="row", style=f"background:{ui.theme.surface};padding:8px 0;gap:0;"
             f"border-top:1px solid {ui.theme.line};margin-top:auto")  # fmt: skip


def phone(ui: Ui) -> Node:
    """Settings of a telephone."""
    rows = []
    for name in ui.rng.sample(["wifi", "bluetooth", "airplane", "location", "dark_mode",
                               "auto_update", "sounds"], ui.rng.randint(3, 5)):  # fmt: skip
        box = ui.tick(ui.t(name), ui.rng.random() < 0.5, kind="switch", text=False)
        rows.append(h("div", h("span", ui.t(name), cls="grow"), box, cls="row pad",
                      style=f"border-bottom:1px solid {ui.theme.line}"))  # fmt: skip
    more = []
    others = [("display", "sun"), ("storage", "disk"), ("battery", "clock"), ("security", "lock"),
              ("account", "person"), ("help", "bell")]  # fmt: skip
    for name, symbol in ui.rng.sample(others, ui.rng.randint(2, 4)):
        label = ui.t(name)
        mark = ui.mark("link", label, noun="entry", order=f'open "{label}"', icon=symbol)
        value = f"{ui.rng.randint(3, 99)}%" if name in ("storage", "battery") else ""
        if value:
            key = list(ui.marks)[-1]
            ui.fact("value", f'the value shown at "{label}"', value, key)
        more.append(h("a", icon(symbol, 20), h("span", label, cls="grow"), h("span", value,
                      cls="muted"), icon("right", 16), cls="row pad", mark=mark,
                      style=f"border-bottom:1px solid {ui.theme.line}"))  # fmt: skip
    ui.fact("count", "switches", len(rows), *(m.key for m in ui.marks.values()
                                              if m.role == "switch"))  # fmt: skip
    on = sum(bool(m.state["checked"]) for m in ui.marks.values() if m.role == "switch")
    ui.about.append(f"settings of a telephone with {len(rows)} switches, {on} of them on")
    top = h("header", ui.tool("left", "back", "go back"), ui.heading(ui.t("settings"), 2),
            h("div", cls="grow"), ui.tool("search", "search", "search the settings"), cls="bar"
            )  # fmt: skip
    card = "padding:0"
    return h("div", top, h("main", ui.slider(ui.t("brightness"), ui.rng.randint(0, 20) * 5),
             h("div", *rows, cls="card", style=card), h("div", *more, cls="card", style=card),
             cls="content"), cls="app")  # fmt: skip


def booking(ui: Ui) -> Node:
    """Looking for a journey, with results."""
    start, goal = ui.rng.sample(TOWNS, 2)
    group = ui.key()
    chosen = ui.rng.randrange(2)
    ways = [ui.tick(ui.t(k), n == chosen, kind="radio", group=group, place=n) for n, k in
            enumerate(("one_way", "round_trip"))]  # fmt: skip
    fields = [ui.field(ui.t("from"), start), ui.field(ui.t("to"), goal),
              ui.field(ui.t("date"), ui.say.date()),
              ui.select(ui.t("passengers"), str(ui.rng.randint(1, 6)))]  # fmt: skip
    ask = h("div", h("div", *ways, cls="row"), h("div", *fields, cls="grid",
            style="grid-template-columns:repeat(auto-fit,minmax(140px,1fr))"),
            h("div", ui.button(ui.t("search"), "search for connections", symbol="search",
              cls="main"), cls="row end"), cls="card col")  # fmt: skip
    rows, keys, prices = [], [], []
    minute = ui.rng.randint(300, 700)
    for k in range(ui.rng.randint(2, 4)):
        minute += ui.rng.randint(20, 140)
        length = ui.rng.randint(45, 320)
        leave, come = (f"{m // 60 % 24:02d}:{m % 60:02d}" for m in (minute, minute + length))
        cents = ui.rng.randint(900, 19900)
        price = ui.say.amount(cents)
        prices.append((cents, leave))
        text, key = ui.shown(f"{leave} \u2013 {come}", "strong")
        keys.append(key)
        near = f"for the connection at {leave}"
        cost, cost_key = ui.shown(price, "accent strong")
        ui.fact(
            "value", f"the price of the connection that leaves at {leave}", price, cost_key, key
        )
        ui.fact("value", f"the arrival time of the connection that leaves at {leave}", come, key)
        rows.append(h("div", h("div", text, h("div", f"{length} min", cls="muted"), cls="grow"),
                      cost, ui.button(ui.t("book"), f"book the connection at {leave}", near=near,
                                      group="books", place=k, cls="main"), cls="card row")
            )  # fmt: skip
    ui.fact("count", "connections in the list", len(rows), *keys)
    if len({cents for cents, _ in prices}) == len(prices):
        ui.fact("value", "the departure time of the cheapest connection", min(prices)[1], *keys)
    ui.about.append(f"connections from {start} to {goal}, {len(rows)} of them")
    bar = h("header", ui.brand(), h("div", cls="grow"), ui.link(ui.t("help")),
            ui.button(ui.t("log_in"), "log in"), cls="bar")  # fmt: skip
    return h("div", bar, h("main", ask, *rows, cls="content"), cls="app")


def weather(ui: Ui) -> Node:
    """The weather of the next days."""
    town = ui.say.town()
    degrees = ui.rng.randint(-8, 36)
    now, key = ui.shown(f"{degrees}\u00b0", style="font-size:3.4em;font-weight:300;line-height:1.1")
    ui.fact("value", f"the present temperature in {town}", f"{degrees}\u00b0", key)
    facts = []
    for name, value in (("wind", f"{ui.rng.randint(0, 80)} km/h"),
                        ("humidity", f"{ui.rng.randint(20, 99)}%"),
                        ("feeling", f"{degrees - ui.rng.randint(0, 5)}\u00b0")):  # fmt: skip
        shown, fact_key = ui.shown(value, "strong")
        ui.fact("value", f'the value at "{ui.t(name)}"', value, fact_key)
        facts.append(h("div", h("div", ui.t(name), cls="muted"), shown, cls="card col grow"))
    days, kinds, keys = [], [], []
    for k in range(ui.rng.randint(3, 6)):
        kind = ui.rng.choice(("sun", "cloud", "moon"))
        low = degrees - ui.rng.randint(2, 9)
        label, day_key = ui.shown(f"{k + 1}.", "strong", "span")
        text, low_key = ui.shown(f"{low}\u00b0", tag="span")
        keys.append(day_key)
        kinds.append(kind)
        ui.fact("value", f"the temperature in the row of day {k + 1}", f"{low}\u00b0", low_key)
        days.append(h("div", label, h("span", icon(kind, 24), cls="grow",
                      style="display:flex;justify-content:center"), text, cls="row pad",
                      style=f"border-bottom:1px solid {ui.theme.line}"))  # fmt: skip
    ui.fact("count", "days with a cloud symbol", kinds.count("cloud"), *keys)
    ui.about.append(f"the weather in {town}, {degrees} degrees, and of {len(days)} days")
    top = h("header", ui.tool("menu", "menu", "open the menu"), ui.heading(town, 2),
            h("div", cls="grow"), ui.tool("plus", "add", "add a town"), cls="bar")  # fmt: skip
    tabs = ui.tabs([ui.t("today"), ui.t("week"), ui.t("month")], ui.rng.randrange(3))
    return h("div", top, h("main", tabs, h("div", icon("pin", 18), town, cls="row"), now,
             h("div", *facts, cls="row"), h("div", *days, cls="card", style="padding:0"),
             cls="content"), cls="app")  # fmt: skip


LEISURE: dict[str, Callable[[Ui], Node]] = {
    "booking": booking,
    "feed": feed,
    "phone": phone,
    "player": player,
    "weather": weather,
}
