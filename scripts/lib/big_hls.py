"""A large HLS presentation made of a few segments, each written again and again under a name of its own.

`big_hls.py KIND COUNT SEGMENT... FOLDER` with KIND:
  fmp4   COUNT files; the first SEGMENT is the media initialization section
  ts     COUNT files
  range  COUNT byte ranges of one file
Every byte is written, none is linked: a copy of the folder costs what its size says.
"""
import itertools
import pathlib
import sys


def main(kind, count, *paths):
    *segments, folder = (pathlib.Path(path) for path in paths)
    folder.mkdir(parents=True)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:10", "#EXT-X-PLAYLIST-TYPE:VOD"]
    if kind == "fmp4":
        init = segments.pop(0)
        (folder / "init.mp4").write_bytes(init.read_bytes())
        lines.append('#EXT-X-MAP:URI="init.mp4"')
    contents = itertools.cycle([segment.read_bytes() for segment in segments])
    suffix = "m4s" if kind == "fmp4" else "ts"
    whole = open(folder / f"all.{suffix}", "wb") if kind == "range" else None
    for number, content in zip(range(int(count)), contents):
        lines.append("#EXTINF:2.000000,")
        if whole:
            lines += [f"#EXT-X-BYTERANGE:{len(content)}@{whole.tell()}", whole.name.rsplit("/", 1)[1]]
            whole.write(content)
        else:
            name = f"segment-{number:05}.{suffix}"
            (folder / name).write_bytes(content)
            lines.append(name)
    (folder / "media.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))


main(*sys.argv[1:])
