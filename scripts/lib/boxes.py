"""Boxes of an MP4 file, as far as the scripts need them: ISO/IEC 14496-12 §4.2.

As a command: `boxes.py mdat FILE` writes the payloads of all mdat boxes to standard output,
`boxes.py kid FILE` prints default_KID of every tenc (ISO/IEC 23001-7 §8.2), one a line,
`boxes.py types FILE` prints the types of the top-level boxes, one a line.
"""
import collections
import pathlib
import sys

Box = collections.namedtuple("Box", "type start payload end")


def walk(data, start=0, end=None):
    """Yields the boxes of data[start:end]."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start:start + 4], "big"), data[start + 4:start + 8]
        payload = start + 8
        if size == 1:
            size, payload = int.from_bytes(data[start + 8:start + 16], "big"), start + 16
        elif size == 0:
            size = end - start
        if size < payload - start or start + size > end:
            raise SystemExit(f"byte {start}: box {kind!r} of {size} bytes does not fit")
        yield Box(kind.decode("latin-1"), start, payload, start + size)
        start += size


def default_kids(data):
    """default_KID of every tenc; a search by type, because sample entries nest in many ways."""
    kids, at = [], data.find(b"tenc")
    while at >= 0:
        kids.append(data[at + 12:at + 28].hex())
        at = data.find(b"tenc", at + 4)
    return kids


def main():
    what, data = sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes()
    if what == "mdat":
        for box in walk(data):
            if box.type == "mdat":
                sys.stdout.buffer.write(data[box.payload:box.end])
    elif what == "kid":
        moov = next(box for box in walk(data) if box.type == "moov")
        print("\n".join(default_kids(data[moov.start:moov.end])))
    elif what == "types":
        print("\n".join(box.type for box in walk(data)))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
