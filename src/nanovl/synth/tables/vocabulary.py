"""Names and value ranges from which tables are made. All numbers in tables are invented."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUARTERS", "SUBJECTS", "Measure", "Subject"]

QUARTERS = ("Q1", "Q2", "Q3", "Q4")


@dataclass(frozen=True)
class Measure:
    """A kind of column.

    Attributes:
        name: Header.
        kind: As in `Column`.
        low, high: Range of values; for text the number of choices is all that counts.
        decimals: Of the values.
        unit: Written in the header, "" for none.
        is_summable: Whether sums make sense.
        choices: Texts of a text column.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 100.0
    decimals: int = 0
    unit: str = ""
    is_summable: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What a table can be about.

    Attributes:
        family: "finance", "marketing", "science" or "plain".
        titles: Captions, with {year}.
        corner: What its rows are.
        rows: Row headers by group; tables with sections use the groups.
        measures: Columns.
    """

    family: str
    titles: tuple[str, ...]
    corner: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    measures: tuple[Measure, ...]


# Countries, materials and people are made up: a table must not teach wrong facts of real ones.
REGIONS = (
    ("Northern Coast", ("Norvale", "Estmark", "Lindria", "Havnor", "Skerra", "Ostholm", "Brennia")),
    ("Southern Isles", ("Calvera", "Mirona", "Tessalo", "Portaine", "Auriga", "Solenne")),
    ("Eastern Plains", ("Karvan", "Turesh", "Balkeny", "Orsk Vale", "Mezhin", "Darova", "Sarn")),
    ("Western Highlands", ("Glenmoor", "Ardrath", "Tarnock", "Caerwyn", "Dunmere", "Fellhaven")),
    ("Central Lakes", ("Laketon", "Mersia", "Ulverne", "Rodan", "Veldt", "Quillon")),
)
PRODUCTS = (
    ("Kitchen", ("Kettle", "Toaster", "Blender", "Rice cooker", "Waffle iron", "Hand mixer")),
    ("Garden", ("Lawn mower", "Hedge trimmer", "Watering can", "Garden hose", "Wheelbarrow")),
    ("Office", ("Desk lamp", "Stapler", "Paper tray", "Whiteboard", "Office chair", "Scanner")),
    ("Travel", ("Suitcase", "Backpack", "Neck pillow", "Travel adapter", "Tent", "Sleeping bag")),
)
UNITS_OF_FIRM = (
    ("Operations", ("Logistics", "Maintenance", "Quality control", "Purchasing", "Assembly")),
    ("Sales", ("Online shop", "Retail stores", "Key accounts", "Export", "Partner channel")),
    ("Support", ("Legal", "Human resources", "Accounting", "IT services", "Facility management")),
)
STATEMENT = (
    ("Assets", ("Cash and equivalents", "Accounts receivable", "Inventories", "Property",
                "Goodwill", "Intangible assets", "Prepaid expenses")),
    ("Liabilities", ("Accounts payable", "Short-term debt", "Long-term debt", "Deferred tax",
                     "Lease obligations", "Accrued wages")),
    ("Expenses", ("Salaries", "Rent", "Marketing", "Research", "Energy", "Depreciation",
                  "Insurance")),
)  # fmt: skip
METHODS = (
    ("Baselines", ("Majority", "Nearest neighbor", "Logistic", "Naive Bayes", "Linear SVM")),
    ("Trees", ("Single tree", "Random forest", "Boosting", "Extra trees")),
    ("Networks", ("MLP-2", "MLP-4", "ConvNet-S", "ConvNet-L", "RecurNet", "AttnNet")),
)
SAMPLES = (
    ("Alloys", ("Alloy K-7", "Alloy K-9", "Alloy M-2", "Alloy T-5", "Alloy Z-1", "Alloy R-4")),
    ("Polymers", ("Blend P1", "Blend P2", "Blend P6", "Film F3", "Film F8", "Resin 12")),
    ("Ceramics", ("Body C20", "Body C35", "Glaze G4", "Glaze G9", "Fiber X1")),
)
PEOPLE = (
    ("Team Blue", ("Amara Lind", "Boris Vance", "Chiara Moss", "Dmitri Hale", "Elena Frost")),
    ("Team Red", ("Farid Stone", "Greta Lowe", "Hassan Pike", "Irina Wells", "Jonas Reed")),
    ("Team Gold", ("Kei Marsh", "Lucia Dean", "Marek Thorn", "Nadia Brook", "Oskar Bell")),
)
ROUTES = (
    ("Weekdays", ("Line 1", "Line 2", "Line 4", "Line 7", "Line 9", "Express A")),
    ("Weekend", ("Line 11", "Line 12", "Night 3", "Night 5", "Express B")),
)
SUBJECTS: tuple[Subject, ...] = (
    Subject("plain", ("Key figures by country, {year}", "Country profiles, {year}"), "Country",
            REGIONS, (
        Measure("Population", "decimal", 0.3, 120, 1, "million", True),
        Measure("Area", "integer", 800, 900000, 0, "sq km", True),
        Measure("Visitors", "integer", 20, 9000, 0, "thousand", True),
        Measure("Rainfall", "integer", 150, 2900, 0, "mm"),
        Measure("Literacy", "percent", 55, 99, 1),
        Measure("Coastline", "integer", 0, 9000, 0, "km", True),
        Measure("Main export", "text", choices=("Fish", "Coffee", "Machinery", "Textiles", "Copper",
                                                "Timber", "Fruit")),
        Measure("Joined", "date", 1950, 2015),
    )),
    Subject("marketing", ("Product sales, {year}", "Shop overview for {year}"), "Product",
            PRODUCTS, (
        Measure("Units sold", "integer", 20, 4800, 0, "", True),
        Measure("Price", "money", 4, 480, 2),
        Measure("Revenue", "money", 900, 90000, 0, "", True),
        Measure("Returns", "integer", 0, 240, 0, "", True),
        Measure("Rating", "decimal", 1.5, 5, 1),
        Measure("Margin", "percent", 4, 62, 1),
        Measure("Color", "text", choices=("black", "white", "silver", "green", "blue", "red")),
        Measure("On sale since", "date", 2008, 2024),
    )),
    Subject("finance", ("Budget by department, {year}", "Spending of departments in {year}"),
            "Department", UNITS_OF_FIRM, (
        Measure("Budget", "money", 40, 990, 0, "thousand", True),
        Measure("Actual", "money", 40, 990, 0, "thousand", True),
        Measure("Staff", "integer", 3, 140, 0, "", True),
        Measure("Variance", "money", -90, 120, 0, "thousand", True),
        Measure("Share", "percent", 1, 40, 1),
        Measure("Head", "text", choices=("A. Lind", "B. Vance", "C. Moss", "D. Hale", "E. Frost")),
    )),
    Subject("finance", ("Consolidated figures as of December 31, {year}",
                        "Selected financial data, {year}"), "Item", STATEMENT, (
        Measure("Group", "money", -800, 9800, 1, "million", True),
        Measure("Parent", "money", -500, 6500, 1, "million", True),
        Measure("Change", "percent", -35, 60, 1),
        Measure("Note", "integer", 1, 34),
    )),
    Subject("science", ("Results on the held-out set", "Comparison of methods"), "Method",
            METHODS, (
        Measure("Accuracy", "percent", 48, 97, 1),
        Measure("F1", "decimal", 0.35, 0.96, 3),
        Measure("Time", "decimal", 0.4, 95, 1, "s", True),
        Measure("Memory", "integer", 20, 4200, 0, "MB"),
        Measure("Error", "plusminus", 0.5, 20, 2),
        Measure("Runs", "integer", 3, 50, 0, "", True),
    )),
    Subject("science", ("Properties of the samples", "Measured properties at 20 degrees"),
            "Material", SAMPLES, (
        Measure("Density", "decimal", 0.9, 11, 2, "g/cm3"),
        Measure("Hardness", "integer", 20, 1500, 0, "HV"),
        Measure("Strength", "plusminus", 20, 900, 1, "MPa"),
        Measure("Melting point", "integer", 120, 2700, 0, "C"),
        Measure("Mass", "decimal", 0.5, 80, 1, "g", True),
        Measure("Color", "text", choices=("gray", "white", "yellow", "clear", "red-brown")),
    )),
    Subject("plain", ("Season results, {year}", "Standings after the {year} season"), "Player",
            PEOPLE, (
        Measure("Games", "integer", 4, 38, 0, "", True),
        Measure("Points", "integer", 0, 620, 0, "", True),
        Measure("Assists", "integer", 0, 140, 0, "", True),
        Measure("Win rate", "percent", 10, 90, 1),
        Measure("Height", "integer", 158, 207, 0, "cm"),
        Measure("Position", "text", choices=("Guard", "Center", "Forward", "Keeper", "Wing")),
        Measure("Born", "date", 1985, 2005),
    )),
    Subject("plain", ("Passengers and punctuality, {year}", "Bus lines in {year}"), "Line",
            ROUTES, (
        Measure("Passengers", "integer", 900, 98000, 0, "", True),
        Measure("Stops", "integer", 6, 48, 0, "", True),
        Measure("Length", "decimal", 3, 42, 1, "km", True),
        Measure("On time", "percent", 61, 99, 1),
        Measure("Fare", "money", 1, 9, 2),
        Measure("Terminal", "text", choices=("Harbor", "Airport", "Old Town", "Campus", "Stadium")),
    )),
)  # fmt: skip
