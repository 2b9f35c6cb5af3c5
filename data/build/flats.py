"""Floor plans as graphs, an example without molecules: every flat that obeys a stated rule book.

Nodes are rooms; edges are doors, glass doors, and openings without a wall ("open"). `LINKS`, `COUNTS` and
`broken_rules` are the rule book, `enumerate_flats` lists every flat of up to 8 rooms that obeys it, and `describe`
writes an advertisement that determines the flat. The rules are invented after common practice, not surveyed.
Rebuild the shipped file with ``python data/build/flats.py``.
"""

import argparse
import csv
import gzip
import io
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from elekit.datasets.files import write_atomically

FILE = Path(__file__).resolve().parents[2] / "data" / "examples" / "flats.csv.gz"
MOST_ROOMS = 8
MOST_BEDROOMS = 3
LINKS = {  # which rooms may be linked, and how; "open": no wall between
    ("hall", "lounge"): ("door", "open"),
    ("kitchen", "lounge"): ("door", "open"),
    ("hall", "kitchen"): ("door",),
    ("bed", "hall"): ("door",),
    ("bed", "lounge"): ("door",),
    ("bath", "hall"): ("door",),
    ("bath", "bed"): ("door",),
    ("balcony", "bed"): ("glass",),
    ("balcony", "kitchen"): ("glass",),
    ("balcony", "lounge"): ("glass",),
    ("hall", "store"): ("door",),
    ("kitchen", "store"): ("door",),
}
COUNTS = {  # fewest and most rooms of each kind
    "hall": (1, 1),
    "lounge": (1, 1),
    "kitchen": (1, 1),
    "bed": (0, MOST_BEDROOMS),
    "bath": (1, 1 + MOST_BEDROOMS),
    "balcony": (0, 1),
    "store": (0, 1),
}
DEAD_ENDS = ("bath", "balcony", "store")  # exactly one link
COLUMNS = ("description", "graph")


def broken_rules(flat: nx.Graph) -> list[str]:
    """Check a flat against the rule book.

    Args:
        flat: Rooms and links with their names in the attribute `label`; unknown names break a rule too.

    Returns:
        One sentence per broken rule; empty for a valid flat.
    """
    rooms = dict(flat.nodes(data="label"))
    found = [f"There is no room called {room}." for room in sorted(set(map(str, rooms.values())) - set(COUNTS))]
    for room, (fewest, most) in COUNTS.items():
        count = list(rooms.values()).count(room)
        if not fewest <= count <= most:
            allowed = f"exactly {fewest}" if fewest == most else f"{fewest} to {most}"
            found.append(f"A flat has {allowed} {room}, this one has {count}.")
    if len(rooms) > MOST_ROOMS:
        found.append(f"A flat has at most {MOST_ROOMS} rooms, this one has {len(rooms)}.")
    for a, b, link in flat.edges(data="label"):
        pair = tuple(sorted((str(rooms[a]), str(rooms[b]))))
        if pair not in LINKS:
            found.append(f"{pair[0].capitalize()} and {pair[1]} are never linked.")
        elif link not in LINKS[pair]:
            found.append(
                f"{pair[0].capitalize()} and {pair[1]} are linked by {' or '.join(LINKS[pair])}, not by {link}."
            )
    for node, room in rooms.items():
        found += _broken_by(room, [rooms[other] for other in flat[node]])
    return list(dict.fromkeys(found))


def _broken_by(room: str, beside: list[str]) -> list[str]:
    """Rules that one room breaks by its neighbors."""
    found = []
    if room in DEAD_ENDS and len(beside) != 1:
        found.append(f"A {room} has one way in, this one has {len(beside)}.")
    if room == "bed":
        ways = beside.count("hall") + beside.count("lounge")
        if ways != 1:
            found.append(f"A bedroom has one door to the hall or the lounge, this one has {ways}.")
        if beside.count("bath") > 1:
            found.append("A bedroom has at most one bath of its own.")
    if room == "hall" and "lounge" not in beside:
        found.append("The hall leads to the lounge.")
    if room == "hall" and beside.count("bath") != 1:
        found.append(f"One bath is off the hall, here there are {beside.count('bath')}.")
    if room == "kitchen" and not {"hall", "lounge"} & set(beside):
        found.append("The kitchen is reached from the hall or the lounge.")
    return found


def enumerate_flats() -> Iterator[nx.Graph]:
    """Yield every flat of 4 to 8 rooms that obeys the rules once, in a fixed order."""
    kitchens = [(None, "door"), (None, "open"), ("door", None), ("door", "door"), ("door", "open")]
    kinds = list(itertools.product(("hall", "lounge"), (False, True)))  # of bedrooms: where the door leads, own bath
    for count in range(MOST_BEDROOMS + 1):
        for bedrooms in itertools.combinations_with_replacement(kinds, count):
            # among equal bedrooms, it does not matter which has the balcony
            own = [f"bed {bedrooms.index(kind)}" for kind in dict.fromkeys(bedrooms)]
            for balcony in (None, "lounge", "kitchen", *own):
                for lounge, kitchen, store in itertools.product(
                    ("door", "open"), kitchens, (None, "hall", "kitchen")
                ):
                    flat = _flat(lounge, kitchen, bedrooms, balcony, store)
                    if len(flat) <= MOST_ROOMS:
                        yield flat


def _flat(lounge: str, kitchen: tuple, bedrooms: tuple, balcony: str | None, store: str | None) -> nx.Graph:
    """One flat: links of the lounge to the hall and of the kitchen to both, (where, own bath) of each bedroom."""
    flat = nx.Graph()

    def add(name: str, *links: tuple[str | None, str | None]) -> None:
        flat.add_node(name, label=name.split()[0])
        flat.add_edges_from((name, other, {"label": link}) for other, link in links if other and link)

    add("hall")
    add("lounge", ("hall", lounge))
    add("kitchen", ("hall", kitchen[0]), ("lounge", kitchen[1]))
    add("bath", ("hall", "door"))
    for number, (beside, bath) in enumerate(bedrooms):
        add(f"bed {number}", (beside, "door"))
        if bath:
            add(f"bath {number}", (f"bed {number}", "door"))
    if balcony:
        add("balcony", (balcony, "glass"))
    if store:
        add("store", (store, "door"))
    return nx.convert_node_labels_to_integers(flat)


def describe(flat: nx.Graph, choose: random.Random | None = None) -> str:
    """Describe a flat as an advertisement; equal texts mean equal flats.

    Args:
        flat: A valid flat.
        choose: Varies the wording; None always takes the first variant.

    Returns:
        The text.
    """
    rooms = dict(flat.nodes(data="label"))
    place = {room: node for node, room in rooms.items()}  # of rooms that occur once
    beside = {node: sorted(rooms[other] for other in flat[node]) for node in flat}

    def either(*ways: str) -> str:
        return choose.choice(ways) if choose else ways[0]

    bedrooms = [node for node, room in rooms.items() if room == "bed"]
    sentences = [("Studio flat", "One-bedroom flat", "Two-bedroom flat", "Three-bedroom flat")[len(bedrooms)]]
    if flat.edges[place["hall"], place["lounge"]]["label"] == "door":
        sentences.append(either("Door from hall to lounge", "Lounge behind a door"))
    else:
        sentences.append(either("Hall open to lounge", "Hall and lounge in one"))
    ways = {room: flat.edges.get((place["kitchen"], place[room]), {}).get("label") for room in ("hall", "lounge")}
    doors = [room for room, link in ways.items() if link == "door"]
    kitchen = [f"with door{'s' * (len(doors) > 1)} to {' and '.join(doors)}"] * bool(doors)
    sentences.append(" ".join(["Kitchen", ", ".join(kitchen + ["open to lounge"] * (ways["lounge"] == "open"))]))
    for node in sorted(bedrooms, key=beside.get):
        where = "hall" if "hall" in beside[node] else "lounge"
        extras = " and ".join(room for room in ("bath", "balcony") if room in beside[node])
        sentences.append(either(f"Bedroom off {where}", f"Off {where} a bedroom") + f" with {extras}" * bool(extras))
    for room in ("balcony", "store"):
        if room in place and beside[place[room]] != ["bed"]:
            (where,) = beside[place[room]]
            sentences.append(either(f"{room.capitalize()} off {where}", f"{where.capitalize()} with {room}"))
    return ". ".join(sentences) + "."


def build(path: str | Path, count: int = 1_200, seed: int = 0) -> None:
    """Write a sample of flats as a gzipped csv with the columns description and graph (node-link JSON).

    Six rows are invalid on purpose, as in real tables: `from_frame` skips them with a reason.

    Args:
        path: File to write.
        count: Number of valid flats.
        seed: Seed of the sample and the wording.

    Raises:
        OSError: If `path` cannot be written; an older file is unchanged.
    """
    choose = random.Random(seed)
    flats = choose.sample(list(enumerate_flats()), count)
    rows = [(describe(flat, choose), node_link(shuffled(flat, choose))) for flat in flats]
    for at, row in zip((17, 130, 260, 411, 502, 640), _broken(rows, flats, choose)):
        rows.insert(at, row)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    content = gzip.compress(text.getvalue().encode(), 9, mtime=0)  # reproducible bytes
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _broken(rows: list, flats: list, choose: random.Random) -> list[tuple[str, str]]:
    looped, directed = flats[3].copy(), nx.DiGraph(flats[4])
    looped.add_edge(0, 0, label="door")
    return [
        (rows[0][0], rows[0][1][:-40]),  # cut off
        (rows[1][0], node_link(shuffled(flats[1], choose))),  # a duplicate, its rooms in another order
        ("", rows[2][1]),  # without a description, and a duplicate
        (rows[3][0], node_link(looped)),
        (rows[4][0], node_link(directed)),
        ("A flat without rooms.", node_link(nx.Graph())),
    ]


def shuffled(flat: nx.Graph, choose: random.Random) -> nx.Graph:
    """The same flat with its rooms renumbered in a random order."""
    names = list(flat)
    choose.shuffle(names)
    made = nx.Graph()
    made.add_nodes_from((new, flat.nodes[old]) for new, old in enumerate(names))
    number = {old: new for new, old in enumerate(names)}
    made.add_edges_from((number[a], number[b], link) for a, b, link in flat.edges(data=True))
    return made


def node_link(graph: nx.Graph) -> str:
    """networkx's node-link format as one line of JSON."""
    return json.dumps(nx.node_link_data(graph, edges="edges"), separators=(",", ":"))


def main():
    """Rebuild the shipped csv."""
    parser = argparse.ArgumentParser(description="Rebuild the example of floor plans.")
    parser.add_argument("--out", type=Path, default=FILE, help="file to write (default: %(default)s)")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
