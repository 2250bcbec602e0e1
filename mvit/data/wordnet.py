"""Makes imagenet1k.csv, the tree of the 1,000 ImageNet classes, from WordNet 3.0's `data.noun`.

A class's wnid is the byte offset of its synset in that file, and the pointers `@` (or `@i`) of a
synset lead to what it is a kind of. Run `python -m mvit.data.wordnet /usr/share/wordnet/data.noun`
to make the table again. WordNet's licence stands beside it.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

from timm.data import ImageNetInfo

TABLE = Path(__file__).with_name("imagenet1k.csv")


def read_synset(nouns: bytes, wnid: str) -> tuple[list[str], str | None]:
    """(its words, the wnid of the first synset that it is a kind of, or None for the root)."""
    start = int(wnid[1:])
    fields = nouns[start : nouns.index(b"\n", start)].decode().split(" | ")[0].split()
    count = int(fields[3], 16)
    words = [word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
    pointers = fields[5 + 2 * count :]
    parent = next((pointers[i + 1] for i, p in enumerate(pointers) if p in ("@", "@i")), None)
    return words, parent and f"n{parent}"


def rows(nouns: bytes) -> list[dict[str, str]]:
    """One row a node: the classes in ImageNet's order, then what they are kinds of.

    A class is named by its first word; classes that share it are told apart by their parent's.
    """
    classes = ImageNetInfo().label_names()
    synsets = {wnid: read_synset(nouns, wnid) for wnid in classes}
    above = [synsets[wnid][1] for wnid in classes]
    while above:
        wnid = above.pop()
        if wnid and wnid not in synsets:
            synsets[wnid] = read_synset(nouns, wnid)
            above.append(synsets[wnid][1])
    shared = Counter(synsets[wnid][0][0] for wnid in classes)

    def name(wnid: str) -> str:
        (first, *_), parent = synsets[wnid]
        return f"{first} ({synsets[parent][0][0]})" if shared[first] > 1 else first

    return [
        {"wnid": wnid, "parent": parent or "", "name": name(wnid), "words": ", ".join(words)}
        for wnid, (words, parent) in synsets.items()
    ]


def write(nouns: Path) -> None:
    """Write the table from WordNet's file."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("wnid", "parent", "name", "words"), lineterminator="\n")
        table.writeheader()
        table.writerows(rows(nouns.read_bytes()))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
