"""What charts are about. All names and numbers are invented."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATEGORIES", "SERIES_NAMES", "STAGES", "TASKS", "TOPICS", "Topic"]


@dataclass(frozen=True)
class Topic:
    """A quantity.

    Attributes:
        measure: Its name.
        unit: "", "%" or a word.
        low, high: Usual range.
        decimals: Of its values.
        is_additive: Whether parts of it add up to a whole (pies, stacks).
    """

    measure: str
    unit: str
    low: float
    high: float
    decimals: int = 0
    is_additive: bool = True


TOPICS = (
    Topic("Rainfall", "mm", 8, 190),
    Topic("Visitor count", "thousand", 12, 640),
    Topic("Sales volume", "million", 1.5, 48, 1),
    Topic("Energy use", "MWh", 40, 960),
    Topic("Lending volume", "", 120, 4800),
    Topic("Temperature", "degrees C", 2, 34, 1, False),
    Topic("Approval", "%", 12, 88, 0, False),
    Topic("Accuracy", "%", 42, 97, 1, False),
    Topic("Response time", "ms", 15, 420, 0, False),
    Topic("Harvest", "tons", 20, 780),
    Topic("Export volume", "billion", 1.2, 29, 1),
    Topic("Trip count", "", 200, 9200),
    Topic("Water level", "cm", 40, 310, 0, False),
    Topic("Subscriber count", "thousand", 3, 260),
    Topic("Price index", "", 80, 165, 1, False),
    Topic("Waste volume", "kg", 60, 1450),
    Topic("Order count", "", 30, 870),
    Topic("Speed", "km/h", 14, 130, 0, False),
    Topic("Membership", "", 25, 940),
    Topic("Cost", "thousand", 6, 310),
)
# noun, plural, labels, whether in order of time
CATEGORIES: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("month", "Month", ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
                        "Nov", "Dec"), True),
    ("weekday", "Weekday", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), True),
    ("quarter", "Quarter", ("Q1 2021", "Q2 2021", "Q3 2021", "Q4 2021", "Q1 2022", "Q2 2022",
                            "Q3 2022", "Q4 2022"), True),
    ("town", "Town", ("Aldmoor", "Birkholm", "Castrel", "Dunvale", "Eastmere", "Fenwick",
                      "Galdor", "Harlen", "Jorvale", "Kestrin"), False),
    ("fruit", "Fruit", ("Apples", "Pears", "Plums", "Cherries", "Grapes", "Figs", "Melons",
                        "Peaches", "Limes"), False),
    ("department", "Department", ("Sales", "Design", "Support", "Legal", "Research", "Finance",
                                  "Logistics", "Quality"), False),
    ("product", "Product", ("Kettle", "Toaster", "Blender", "Lamp", "Heater", "Scale", "Radio",
                            "Fan"), False),
    ("age group", "Age group", ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69",
                                "70+"), False),
    ("model", "Model", ("Base", "Small", "Medium", "Large", "Wide", "Deep", "Fast", "Tuned"),
     False),
    ("route", "Route", ("Harbor", "Airport", "Campus", "Old Town", "Stadium", "Museum", "Park"),
     False),
)  # fmt: skip
SERIES_NAMES: tuple[tuple[str, ...], ...] = (
    ("North", "South", "East", "West", "Center"),
    ("Plan", "Actual", "Forecast"),
    ("Adults", "Children", "Seniors", "Students"),
    ("Online", "Store", "Phone", "Partner"),
    ("Method A", "Method B", "Method C", "Method D", "Baseline"),
    ("Norvale", "Estmark", "Lindria", "Havnor", "Skerra", "Ostholm"),
    ("Morning", "Afternoon", "Evening", "Night"),
    ("Solar", "Wind", "Hydro", "Gas", "Coal", "Nuclear"),
    ("Team Red", "Team Blue", "Team Gold"),
)
STAGES = (
    ("Visits", "Sign-ups", "Trials", "Orders", "Renewals"),
    ("Applications", "Screened", "Interviewed", "Offers", "Hired"),
    ("Leads", "Contacted", "Meetings", "Proposals", "Contracts"),
)
TASKS = (
    "Planning", "Survey", "Design", "Permits", "Groundwork", "Assembly", "Wiring", "Painting",
    "Testing", "Training", "Launch",
)  # fmt: skip
FLOWS = (
    ("Opening", ("Sales", "Grants", "Wages", "Rent", "Repairs", "Interest", "Taxes"), "Closing"),
    ("Start", ("Deliveries", "Returns", "Shipments", "Losses", "Transfers", "Samples"), "End"),
)
