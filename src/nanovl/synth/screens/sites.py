"""Families of screens around shops and accounts, and what lies over a page.

Each builds the body of one screen with a `Ui`. Must not know how screens are rendered or asked
about.

Source: data synthesis specification, section 8 (application shells, mobile variants).
"""

from __future__ import annotations

from collections.abc import Callable

from nanovl.synth.asking import plural
from nanovl.synth.screens.dom import Child, Node, h
from nanovl.synth.screens.icons import icon
from nanovl.synth.screens.leisure import LEISURE
from nanovl.synth.screens.ui import Ui

__all__ = ["SITES", "overlay"]


def _shop_bar(ui: Ui, count: int) -> Node:
    links = [ui.link(ui.t(k), f'open "{ui.t(k)}"', cls="small") for k in ("new", "popular", "sale")]
    label = ui.t("search")
    basket = ui.tool("cart", "cart", "open the shopping cart")
    badge, key = ui.shown(str(count), "badge full", "span")
    ui.fact("value", "the number of items in the cart, shown at the cart icon", str(count), key)
    field = ui.field(label, hint=label, role="searchbox", bare=True, style="width:28%")
    return h("header", ui.brand(), h("nav", *links, cls="row"), h("div", cls="grow"), field,
             ui.tool("heart", "wish list", "open the wish list"), basket, badge, cls="bar"
            )  # fmt: skip


def shop(ui: Ui) -> Node:
    """A grid of products."""
    count = ui.rng.choice((3, 4, 6, 6, 8))
    sign = ui.rng.choice(("$", "\u20ac", "\u00a3"))
    cards, keys = [], []
    sold = 0
    for k in range(count):
        name, price = ui.say.product(), ui.say.money(3, 400, sign)
        gone = ui.rng.random() < 0.2
        sold += gone
        key = ui.key()
        keys.append(key)
        mark = ui.mark("option", name, key=key, noun="product", order=f'open the product "{name}"',
                       group="products", place=k)  # fmt: skip
        stars = ui.rng.randint(20, 50) / 10
        near = f'at the product "{name}"'
        shown, price_key = ui.shown(price, "strong")
        ui.fact("value", f'the price of "{name}"', price, price_key, key)
        ui.fact("value", f'the rating of "{name}"', f"{stars:.1f}", key)
        ui.fact("which", "product", name, key, price_key, how=f"costs {price}")
        ui.fact("state", f'"{name}"', gone, key, how="sold out")
        state = h("span", ui.t("sold_out" if gone else "in_stock"), cls="bad small" if gone
                  else "good small")  # fmt: skip
        buy = ui.button(ui.t("add_to_cart"), f'put "{name}" into the cart', cls="main block",
                        near=near, disabled=gone)  # fmt: skip
        like = ui.tool("heart", "like", f'put "{name}" on the wish list', near=near)
        cards.append(h("div", ui.picture(name, "height:110px", sum(map(ord, name))),
                       h("div", h("h3", name, cls="grow"), like, cls="row top"),
                       h("div", shown, h("span", icon("star", 14), f"{stars:.1f}", cls="row small"),
                         cls="row between"), state, buy, cls="card col", mark=mark))  # fmt: skip
    ui.fact("count", "products", count, *keys)
    ui.fact("count", "products that are sold out", sold, *keys)
    ui.about.append(f"a web shop with {count} products, {sold} of them sold out")
    filters = [ui.tick(ui.t(k), ui.rng.random() < 0.4) for k in ("sale", "in_stock", "new")]
    order = ui.select(ui.t("sort_by"), ui.t(ui.rng.choice(("price", "popular", "new"))))
    side = h("aside", ui.heading(ui.t("filter"), 3), *filters, order, cls="col pad",
             style="width:200px;flex:none")  # fmt: skip
    grid = h("main", *cards, cls="grid content",
             style="grid-template-columns:repeat(auto-fill,minmax(190px,1fr));display:grid;"
                   "align-content:start")  # fmt: skip
    return h("div", _shop_bar(ui, ui.rng.randint(0, 12)), h("div", side, grid, cls="main"),
             cls="app")  # fmt: skip


def product(ui: Ui) -> Node:
    """One product with its choices."""
    name, price = ui.say.product(), ui.say.money(5, 900)
    shown, key = ui.shown(price, "strong accent", style="font-size:1.5em")
    ui.fact("value", "the price of the product", price, key)
    sizes = [ui.t(k) for k in ("small", "medium", "large")]
    chosen = ui.rng.randrange(3)
    group = ui.key()
    radios = [ui.tick(s, k == chosen, kind="radio", group=group, place=k) for k, s in
              enumerate(sizes)]  # fmt: skip
    ui.fact("which", "size", sizes[chosen], *(r.attributes["data-gt"] for r in radios),
            how="is selected")  # fmt: skip
    amount = ui.rng.randint(1, 9)
    number, number_key = ui.shown(str(amount), "strong", "span")
    ui.fact("value", "the chosen quantity", str(amount), number_key)
    reviews = ui.rng.randint(2, 900)
    rating, rating_key = ui.shown(f"{ui.rng.randint(20, 50) / 10:.1f} / 5 ({reviews})", "muted")
    ui.fact("value", "the number of reviews in brackets", str(reviews), rating_key)
    quantity = h("div", h("span", ui.t("quantity")),
                 ui.tool("minus", "decrease", "decrease the quantity", cls="boxed"), number,
                 ui.tool("plus", "increase", "increase the quantity", cls="boxed"), cls="row"
            )  # fmt: skip
    buttons = h("div", ui.button(ui.t("add_to_cart"), f'put "{name}" into the cart', symbol="cart",
                cls="main"), ui.button(ui.t("wishlist"), f'put "{name}" on the wish list',
                symbol="heart"), cls="row wrap")  # fmt: skip
    text = " ".join(ui.say.line("text") for _ in range(3))
    info = h("section", ui.heading(name), rating, shown, h("div", *radios, cls="row wrap"),
             quantity, buttons, h("p", text, cls="muted"), cls="col grow",
             style="gap:16px")  # fmt: skip
    tabs = ui.tabs([ui.t("description"), ui.t("details"), ui.t("reviews")], ui.rng.randrange(3))
    look = ui.picture(name, "flex:1;height:320px;min-width:240px", ui.rng.randrange(99))
    main = h("main", h("div", look, info, cls="row top wrap", style="gap:28px"), tabs,
             h("p", " ".join(ui.say.line("text") for _ in range(4))), cls="content")  # fmt: skip
    ui.about.append(f'the page of the product "{name}" for {price}')
    return h("div", _shop_bar(ui, ui.rng.randint(0, 12)), main, cls="app")


def cart(ui: Ui) -> Node:
    """A shopping cart whose amounts add up, and ways to pay."""
    sign = ui.rng.choice(("$", "\u20ac"))
    rows, keys, total = [], [], 0
    for k in range(ui.rng.randint(1, 5)):
        name, cents, amount = ui.say.product(), ui.rng.randint(150, 30000), ui.rng.randint(1, 6)
        total += cents * amount
        key = ui.key()
        keys.append(key)
        mark = ui.mark("text", name, key=key, is_control=False, noun="product")
        price, line = ui.say.amount(cents, sign), ui.say.amount(cents * amount, sign)
        near = f'in the row of "{name}"'
        ui.fact("value", f'the quantity of "{name}"', str(amount), key)
        ui.fact("value", f'the price of one "{name}"', price, key)
        bin_ = ui.tool("trash", "remove", f'remove "{name}" from the cart', near=near, group="bins",
                       place=k)  # fmt: skip
        rows.append(h("tr", h("td", name, mark=mark), h("td", price, cls="number"),
                      h("td", str(amount), cls="number"), h("td", line, cls="number"),
                      h("td", bin_)))  # fmt: skip
    ui.fact("count", "different products in the cart", len(rows), *keys)
    post = ui.rng.choice((0, 490, 790))
    head = h("tr", *(h("th", t, cls="number" if k else "") for k, t in enumerate(
        [ui.t("name"), ui.t("price"), ui.t("quantity"), ui.t("total"), ""])))  # fmt: skip
    sums = []
    for label, cents in (("subtotal", total), ("shipping", post), ("total", total + post)):
        shown, key = ui.shown(ui.say.amount(cents, sign), "strong" if label == "total" else "")
        ui.fact("value", f'the amount at "{ui.t(label)}" in the summary',
                ui.marks[key].name, key)  # fmt: skip
        sums.append(h("div", h("span", ui.t(label)), shown, cls="row between"))
    ways = [ui.t(k) for k in ("credit_card", "invoice", "bank_transfer", "cash")]
    chosen = ui.rng.randrange(4)
    group = ui.key()
    radios = [ui.tick(w, k == chosen, kind="radio", group=group, place=k) for k, w in
              enumerate(ways)]  # fmt: skip
    ui.fact("which", "way to pay", ways[chosen], *(r.attributes["data-gt"] for r in radios),
            how="is selected")  # fmt: skip
    aside = h("aside", ui.heading(ui.t("payment"), 2), *radios, h("hr"), *sums,
              ui.tick(ui.t("terms"), ui.rng.random() < 0.5),
              ui.button(ui.t("place_order"), "place the order", cls="main block"), cls="card col",
              style="width:300px;flex:none")  # fmt: skip
    main = h("main", ui.heading(ui.t("cart")), h("div", h("div", h("table", head, *rows),
             cls="grow"), aside, cls="row top", style="gap:20px"), cls="content")  # fmt: skip
    ui.about.append(f"a shopping cart with {plural(len(rows), 'product')}")
    return h("div", h("header", ui.brand(), h("div", cls="grow"), ui.link(ui.t("help")), cls="bar"),
             main, cls="app")  # fmt: skip


def dashboard(ui: Ui) -> Node:
    """Tiles with figures, a bar chart, a list."""
    side = ui.side([(ui.t(k), s, c) for k, s, c in [
        ("overview", "house", ""), ("orders", "cart", str(ui.rng.randint(1, 40))),
        ("customers", "person", ""), ("reports", "file", ""), ("settings", "gear", "")]],
        ui.rng.randrange(5), noun="page")  # fmt: skip
    tiles = []
    for label in ui.rng.sample(["revenue", "visitors", "orders", "returns", "customers", "reviews"],
                               ui.rng.randint(3, 4)):  # fmt: skip
        value = f"{ui.rng.randint(20, 99000):,}"
        shown, key = ui.shown(value, "strong", style="font-size:1.7em")
        delta = ui.rng.randint(-30, 40)
        text, delta_key = ui.shown(f"{delta:+d}%", "good small" if delta >= 0 else "bad small")
        ui.fact("value", f'the figure on the tile "{ui.t(label)}"', value, key)
        ui.fact("value", f'the change in percent on the tile "{ui.t(label)}"', f"{delta:+d}%",
                delta_key)  # fmt: skip
        tiles.append(h("div", h("div", ui.t(label), cls="muted"), shown, text, cls="card col"))
    bars = []
    values = [ui.rng.randint(10, 100) for _ in range(7)]
    for k, high in enumerate(values):
        column = h("div", style=f"height:{high}px;background:{ui.theme.accent};width:60%")
        bars.append(h("div", h("span", str(high), cls="small"), column, h("span", f"{k + 1}",
                      cls="muted"), cls="col", style="align-items:center;flex:1;gap:4px;"
                      "justify-content:flex-end"))  # fmt: skip
    chart = h("div", ui.heading(ui.t("visitors"), 3), h("div", *bars, cls="row",
              style="height:160px;align-items:stretch"), cls="card col grow", short=None
            )  # fmt: skip
    for mark in [m for m in ui.marks.values() if m.role == "heading"]:
        ui.fact("value", "the height of the highest bar of the chart", str(max(values)), mark.key)
    done = []
    for _ in range(3):
        label, share = ui.say.title(1, 2), ui.rng.randint(3, 100)
        shown, key = ui.shown(f"{share}%", "small", "span")
        ui.fact("value", f'the progress of "{label}"', f"{share}%", key)
        done.append(h("div", h("div", h("span", label), shown, cls="row between"),
                      ui.progress(share), cls="col"))  # fmt: skip
    list_ = h("div", ui.heading(ui.t("projects"), 3), *done, cls="card col grow")
    span = ui.select(ui.t("date"), ui.t(ui.rng.choice(("day", "week", "month", "year"))), bare=True,
                     style="width:130px")  # fmt: skip
    top = h("div", ui.heading(ui.t("overview")), h("div", cls="grow"), span,
            ui.button(ui.t("export"), "export the report", symbol="download"), cls="row"
            )  # fmt: skip
    body = h("main", top, h("div", *tiles, cls="grid",
             style=f"grid-template-columns:repeat({len(tiles)},1fr)"),
             h("div", chart, list_, cls="row top wrap"), cls="content")  # fmt: skip
    ui.about.append(f"a dashboard with {len(tiles)} figures and a bar chart")
    bar = h("header", ui.brand(), h("div", cls="grow"), ui.tool("bell", "notifications",
            "show the notifications"), ui.avatar("On Duty"), cls="bar")  # fmt: skip
    return h("div", bar, h("div", side, body, cls="main"), cls="app")


_OPTIONS = ("dark_mode", "sounds", "auto_update", "location", "newsletter", "sync", "backup",
            "spelling", "offline", "previews")  # fmt: skip


def settings(ui: Ui) -> Node:
    """Settings with tabs, switches, lists and sliders."""
    tabs = ["general", "appearance", "notifications", "privacy", "security"]
    chosen = ui.rng.randrange(5)
    strip = ui.tabs([ui.t(k) for k in tabs], chosen)
    kind = ui.rng.choice(("checkbox", "switch"))
    rows, on = [], 0
    for name in ui.rng.sample(_OPTIONS, ui.rng.randint(3, 6)):
        checked = ui.rng.random() < 0.5
        box = ui.tick(ui.t(name), checked, kind=kind, text=kind == "checkbox",
                      disabled=ui.rng.random() < 0.12)  # fmt: skip
        key = box.attributes["data-gt"]
        on += bool(ui.marks[key].state["checked"])
        rows.append(box if kind == "checkbox" else h("div", h("span", ui.t(name), cls="grow"), box,
                                                     cls="row"))  # fmt: skip
    keys = [m.key for m in ui.marks.values() if m.role == kind]
    word = "check boxes that are ticked" if kind == "checkbox" else "switches that are on"
    ui.fact("count", word, on, *keys)
    language = ui.rng.choice(("English", "Deutsch", "Fran\u00e7ais", "Espa\u00f1ol"))
    fields = [ui.select(ui.t("language"), language),
              ui.slider(ui.t(ui.rng.choice(("volume", "brightness"))), ui.rng.randint(0, 20) * 5)
              ]  # fmt: skip
    group = ui.key()
    sizes = [ui.t(k) for k in ("small", "medium", "large")]
    size = ui.rng.randrange(3)
    radios = [ui.tick(s, k == size, kind="radio", group=group, place=k) for k, s in
              enumerate(sizes)]  # fmt: skip
    fields.append(h("div", h("label", ui.t("text_size")), h("div", *radios, cls="row wrap"),
                    cls="labelled"))  # fmt: skip
    ui.rng.shuffle(fields)
    foot = h("footer", ui.button(ui.t("reset"), "reset the settings", cls="plain"),
             h("div", cls="grow"), ui.button(ui.t("cancel"), "leave without saving"),
             ui.button(ui.t("save"), "save the settings", cls="main",
                       disabled=ui.rng.random() < 0.2), cls="row")  # fmt: skip
    head = h("div", ui.heading(ui.t("settings")), h("div", cls="grow"),
             ui.tool("cross", "close", "close the settings"), cls="row")  # fmt: skip
    ui.about.append(f"a settings page with {len(rows)} options, {on} of them on")
    return h("div", h("main", head, strip, *rows, h("hr"), *fields, foot, cls="card col",
             style="width:min(620px,100%);gap:16px"), cls="pad",
             style="display:flex;justify-content:center")  # fmt: skip


def login(ui: Ui) -> Node:
    """Signing in or up."""
    is_new = ui.rng.random() < 0.4
    person = ui.say.person()
    filled = ui.rng.random() < 0.5
    focus = ui.rng.randrange(3)
    address = ui.say.mail_of(person) if filled else ""
    secret = "x" * ui.rng.randint(6, 12) if ui.rng.random() < 0.5 else ""
    wrong = not secret and ui.rng.random() < 0.4
    fields = [ui.field(ui.t("email"), address, hint="name@example.com", focused=focus == 0),
              ui.field(ui.t("password"), secret, secret=True, focused=focus == 1,
                       error=ui.t("required") if wrong else "")]  # fmt: skip
    if is_new:
        fields.insert(0, ui.field(ui.t("name"), person if filled else ""))
    title = ui.t("sign_up" if is_new else "log_in")
    act = "create the account" if is_new else "log in"
    other = ui.t("log_in" if is_new else "sign_up")
    more = [ui.tick(ui.t("terms" if is_new else "remember"), ui.rng.random() < 0.5)]
    links = h("div", ui.link(ui.t("forgot"), "recover the password"), ui.link(other),
              cls="row wrap",
              style="justify-content:space-between")  # fmt: skip
    focused = [m.key for m in ui.marks.values() if m.state.get("focused")]
    if focused:
        every = [m.key for m in ui.marks.values() if m.role == "textbox"]
        ui.fact("which", "field", ui.marks[focused[0]].name, *every, how="has the focus ring")
    ui.about.append(f"a page to {'sign up' if is_new else 'log in'}")
    return h("div", h("main", ui.brand(), ui.heading(title), *fields, *more,
             ui.button(title, act, cls="main block"), links, cls="card col",
             style="width:min(400px,94%);gap:16px;padding:28px"), cls="main pad",
             style="min-height:100vh;justify-content:center;align-items:center")  # fmt: skip


def form(ui: Ui) -> Node:
    """An address form, some of it filled in, perhaps with errors."""
    person = ui.say.person()
    first, last = person.split()
    values = {"first_name": first, "last_name": last, "company": ui.say.title(1, 2),
              "street": f"{ui.say.title(1, 1)} {ui.rng.randint(1, 140)}",
              "postcode": str(ui.rng.randint(10000, 99999)), "city": ui.say.town(),
              "email": ui.say.mail_of(person),
              "phone": f"+{ui.rng.randint(1, 99)} {ui.rng.randint(100, 999)} "
                       f"{ui.rng.randint(1000, 9999)}"}  # fmt: skip
    names = [n for n in values if n not in ("company", "phone") or ui.rng.random() < 0.6]
    focus = ui.rng.choice(names)
    fields, errors, empty = [], 0, 0
    for name in names:
        filled = ui.rng.random() < 0.7
        wrong = not filled and ui.rng.random() < 0.4
        errors += wrong
        empty += not filled
        fields.append(ui.field(ui.t(name), values[name] if filled else "", focused=name == focus,
                               error=ui.t("required") if wrong else ""))  # fmt: skip
    keys = [m.key for m in ui.marks.values() if m.role == "textbox"]
    ui.fact("count", "text fields with an error message below", errors, *keys)
    ui.fact("count", "empty single-line text fields", empty, *keys)
    ui.fact("which", "field", ui.t(focus), *keys, how="has the focus ring")
    fields.append(ui.select(ui.t("country"), ui.rng.choice(("Estmark", "Calvera", "Norvale"))))
    ticks = [ui.tick(ui.t(k), ui.rng.random() < 0.5) for k in ("newsletter", "terms")]
    columns = ui.rng.choice((1, 2, 2))
    grid = h("form", *fields, cls="grid", style=f"grid-template-columns:repeat({columns},1fr)")
    foot = h("div", ui.button(ui.t("cancel"), "leave without saving"),
             ui.button(ui.t("submit"), "submit the form", cls="main"), cls="row end")  # fmt: skip
    ui.about.append(f"a form with {len(names)} text fields, {empty} of them empty")
    bar = h("header", ui.brand(), h("div", cls="grow"), ui.link(ui.t("home")),
            ui.link(ui.t("help")), cls="bar")  # fmt: skip
    return h("div", bar, h("main", ui.heading(ui.t("contact")), grid, *ticks, foot,
             cls="card col", style="margin:20px auto;width:min(760px,94%);gap:14px"),
             cls="app")  # fmt: skip


def overlay(ui: Ui) -> Node:
    """Something that lies over a page: a dialog, a note on cookies, a message."""
    kind = ui.rng.choice(("dialog", "dialog", "cookies", "toast"))
    if kind == "cookies":
        ui.about.append("a note on cookies lies over the page")
        return h("div", h("span", ui.t("cookies"), cls="grow"),
                 ui.button(ui.t("decline"), "decline the cookies"),
                 ui.button(ui.t("accept"), "accept the cookies", cls="main"), cls="strip"
            )  # fmt: skip
    if kind == "toast":
        text, key = ui.shown(ui.t("saved"), tag="span")
        ui.fact("value", "the text of the small message at the bottom", ui.t("saved"), key)
        ui.about.append("a small message at the bottom")
        close = ui.tool("cross", "dismiss", "dismiss the message", size=16)
        return h("div", text, close, cls="toast")
    title, title_key = ui.shown(ui.t("sure"), "strong", style="font-size:1.2em")
    ui.fact("value", "the question of the dialog", ui.t("sure"), title_key)
    note: list[Child] = [h("p", ui.t("cannot_undo"), cls="muted")]
    buttons = h("div", ui.button(ui.t("cancel"), "cancel the dialog", near="in the dialog"),
                ui.button(ui.t("delete"), "confirm the deletion", cls="danger",
                near="in the dialog"), cls="row end")  # fmt: skip
    close = ui.tool("cross", "close the dialog", "close the dialog", near="in the dialog")
    ui.about.append("a dialog asking for confirmation lies over it")
    return h("div", h("div", h("div", title, h("div", cls="grow"), close, cls="row"), *note,
             buttons, cls="dialog"), cls="over")  # fmt: skip


_OWN: dict[str, Callable[[Ui], Node]] = {
    "cart": cart,
    "dashboard": dashboard,
    "form": form,
    "login": login,
    "product": product,
    "settings": settings,
    "shop": shop,
}
SITES = dict(sorted((_OWN | LEISURE).items()))  # every one is drawn by its place
