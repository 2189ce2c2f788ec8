"""Renditions of a DASH or HLS package as single files: initialization and segments, in order.

`chain.py MANIFEST FOLDER` writes FOLDER/<kind><n> for each rendition (kind: video, audio, text, image; n from 1)
and prints one line for each: `kind n parts path`. A part that is missing ends the run, except where
`@duration` only implies it: published MPDs claim more than they have, so there the rendition ends.
The caller compares the count of parts with that of the clear package.
Only what the acceptance needs of RFC 8216bis and ISO/IEC 23009-1: local files, one Period, static.
"""
import math
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

NS = "{urn:mpeg:dash:schema:mpd:2011}"


def part(path, byte_range=None):
    data = path.read_bytes()
    return data if byte_range is None else data[byte_range[0]:byte_range[1]]


def inclusive(text):
    first, last = text.split("-")
    return int(first), int(last) + 1


def seconds(duration):
    match = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration)
    hours, minutes, rest = (float(value or 0) for value in match.groups())
    return hours * 3600 + minutes * 60 + rest


def fill(template, representation, number, time):
    values = {"RepresentationID": representation.get("id"), "Bandwidth": representation.get("bandwidth"),
              "Number": number, "Time": time}

    def value(match):
        name, width = match.group(1), match.group(2)
        return f"{int(values[name]):0{width}d}" if width else str(values[name])
    return re.sub(r"\$(\w+)(?:%0(\d+)d)?\$", value, template)


def template_parts(folder, template, representation, total):
    number = int(template.get("startNumber", 1))
    timeline = template.find(NS + "SegmentTimeline")
    times = []
    if timeline is not None:
        now = 0
        for entry in timeline:
            now = int(entry.get("t", now))
            for _ in range(int(entry.get("r", 0)) + 1):
                times.append(now)
                now += int(entry.get("d"))
    else:
        duration = int(template.get("duration"))
        count = math.ceil(total * int(template.get("timescale", 1)) / duration)
        times = [index * duration for index in range(count)]
    if template.get("initialization"):
        yield part(folder / fill(template.get("initialization"), representation, 0, 0))
    for index, time in enumerate(times):
        path = folder / fill(template.get("media"), representation, number + index, time)
        if timeline is None and index and not path.exists():
            return
        yield part(path)


def representation_parts(folder, parents, representation, total):
    levels = [*parents, representation]
    for level in levels:
        base = level.find(NS + "BaseURL")
        folder = folder / base.text if base is not None else folder
    def nearest(name):
        found = [level.find(NS + name) for level in levels]
        return next((element for element in reversed(found) if element is not None), None)
    template, listed = nearest("SegmentTemplate"), nearest("SegmentList")
    if template is not None:
        # What the Representation's template does not say, the AdaptationSet's says: ISO/IEC 23009-1 §5.3.9.1.
        merged = ElementTree.Element(template.tag)
        for level in levels:
            for found in level.findall(NS + "SegmentTemplate"):
                merged.attrib.update(found.attrib)
                merged.extend(found)
        return list(template_parts(folder, merged, representation, total))
    if listed is not None:
        ranges = [listed.find(NS + "Initialization").get("range")]
        ranges += [url.get("mediaRange") for url in listed.findall(NS + "SegmentURL")]
        return [part(folder, inclusive(text)) for text in ranges]
    return [part(folder)]


def kind_of(adaptation_set, representation):
    mime = representation.get("mimeType") or adaptation_set.get("mimeType") or ""
    kind = adaptation_set.get("contentType") or mime.split("/")[0]
    return kind if kind in ("video", "audio", "image") else "text"


def dash(manifest):
    # White space between attributes is missing in some published MPDs.
    text = re.sub(r'(="[^"]*")(?=[A-Za-z_])', r"\1 ", manifest.read_text())
    mpd = ElementTree.fromstring(text.encode())
    total = seconds(mpd.get("mediaPresentationDuration"))
    for period in mpd.findall(NS + "Period"):
        for adaptation_set in period.findall(NS + "AdaptationSet"):
            for representation in adaptation_set.findall(NS + "Representation"):
                parents = [mpd, period, adaptation_set]
                parts = representation_parts(manifest.parent, parents, representation, total)
                yield kind_of(adaptation_set, representation), parts


def media_playlist(path):
    parts, byte_range, end = [], None, {}

    def sub_range(text, uri):
        length, _, offset = text.partition("@")
        start = int(offset) if offset else end.get(uri, 0)
        end[uri] = start + int(length)
        return start, end[uri]
    for line in path.read_text().splitlines():
        if line.startswith("#EXT-X-MAP:"):
            uri = re.search(r'URI="([^"]*)"', line).group(1)
            found = re.search(r'BYTERANGE="([^"]*)"', line)
            parts.append(part(path.parent / uri, sub_range(found.group(1), uri) if found else None))
        elif line.startswith("#EXT-X-BYTERANGE:"):
            byte_range = line.split(":", 1)[1]
        elif line and not line.startswith("#"):
            parts.append(part(path.parent / line, sub_range(byte_range, line) if byte_range else None))
            byte_range = None
    return parts


def hls(manifest):
    lines = manifest.read_text().splitlines()
    seen = set()
    for line, following in zip(lines, lines[1:] + [""]):
        if line.startswith("#EXT-X-STREAM-INF:"):
            kind, uri = "video", following
        elif line.startswith("#EXT-X-MEDIA:") and 'URI="' in line:
            kind = "audio" if "TYPE=AUDIO" in line else "text"
            uri = re.search(r'URI="([^"]*)"', line).group(1)
        else:
            continue
        if uri not in seen:
            seen.add(uri)
            yield kind, media_playlist(manifest.parent / uri)


def main():
    manifest, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {}
    for kind, parts in (dash if manifest.suffix == ".mpd" else hls)(manifest):
        number = numbers[kind] = numbers.get(kind, 0) + 1
        path = folder / f"{kind}{number}"
        path.write_bytes(b"".join(parts))
        print(kind, number, len(parts), path)


if __name__ == "__main__":
    main()
