"""What packing costs beside copying: `bench.py table|scale|build FOLDER`, called by scripts/bench.

Each row runs its commands in turn, so that a machine whose pace changes changes all of them, and prints medians with the
smallest and largest time behind them. Peak memory is that of the packing process alone.
"""
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

DRM_PACK = os.environ["DRM_PACK"]
PACKAGER = os.environ.get("PACKAGER", "")
RUNS = int(os.environ.get("RUNS", "5"))
ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIP = ROOT / "fixtures/clip/hls/v1"
# Test keys; nothing else is ever protected by them.
KID, KEY, IV = "d" * 32, "e" * 32, "0123456789abcdef" * 2
MEBIBYTE = 1 << 20


def run(command, folder):
    """Runs a command that writes FOLDER/out; returns seconds and its peak memory in bytes."""
    out = folder / "out"
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"scripts/bench: {' '.join(command)}: {said.strip()}")
    shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    return seconds, usage.ru_maxrss * 1024


def in_turn(commands, folder, runs=RUNS):
    """Runs each of the named commands, one after the other, so many times; returns the times and peaks of each."""
    measured = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            measured[name].append(run(command, folder))
    return measured


def shown(times):
    seconds = [seconds for seconds, _ in times]
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


def ratio(ours, other):
    return statistics.median(s for s, _ in ours) / statistics.median(s for s, _ in other)


def row(name, measured):
    (_, ours), (other, beside), *_ = measured.items()
    peak = max(peak for _, peak in ours) / MEBIBYTE
    print(f"| {name} | {shown(ours)} | {other} {shown(beside)} | {ratio(ours, beside):.2f} | {peak:.0f} MiB |", flush=True)


def pack(source, *options, out="out"):
    return [DRM_PACK, "pack", str(source), "--key-file", str(source.parent / "keys"), "--out", str(source.parent / out),
            *options]


def ffmpeg(*options):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, options)], check=True)


def film(folder, megabytes):
    """An MP4 file of AVC at 60 Mbit/s and AAC: ten seconds, again and again."""
    part, whole = folder / "part.mp4", folder / "film.mp4"
    if not part.exists():
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=60:allf=t", "-f", "lavfi", "-i",
               "sine=duration=10", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "60M", "-maxrate", "60M", "-bufsize",
               "60M", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", part)
    times = max(round(megabytes * 1e6 / part.stat().st_size), 1)
    ffmpeg("-stream_loop", times - 1, "-i", part, "-c", "copy", whole)
    return whole


def streams(folder, source):
    """The film as a playlist of transport streams."""
    target = folder / "ts"
    target.mkdir()
    ffmpeg("-i", source, "-c", "copy", "-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_filename",
           target / "%d.ts", target / "index.m3u8")
    return keyed(target) / "index.m3u8"


def small(folder, count, name="small"):
    """A playlist of so many segments of 20 kB."""
    target = folder / name
    segments = sorted(CLIP.glob("*.m4s"))
    subprocess.run([sys.executable, ROOT / "scripts/lib/big_hls.py", "fmp4", str(count), CLIP / "init_0.mp4", *segments,
                    target], check=True)
    return keyed(target) / "media.m3u8"


def keyed(folder):
    (folder / "keys").write_text(f"{KID}:{KEY}:{IV}\n")
    return folder


def copy(source):
    """The command that copies what is packed."""
    out = str(source.parent / "out")
    if source.suffix == ".m3u8":
        # The copy must not hold itself.
        return ["sh", "-c", f"mkdir '{out}' && cp -r '{source.parent}'/*.* '{out}'"]
    return ["cp", str(source), out]


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    flags = fields.get("flags", "").split()
    known = [flag for flag in ("aes", "vaes", "sha_ni", "avx2", "avx512f") if flag in flags]
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{fields.get('model name', platform.processor())}, {os.cpu_count()} cores ({' '.join(known)}), "
          f"{platform.system()} {platform.release()}, load {load}; {RUNS} runs of each in turn, median (least to most)\n")


def table(folder):
    machine()
    print("| work | ours | beside it | ratio | peak |\n|---|---|---|---|---|")
    source = film(keyed(folder), 300)
    widevine = ("--drm", "widevine")
    for name, options in {
        "MP4 to segments, cbcs": (*widevine, "--scheme", "cbcs"),
        "MP4 to segments, cenc": widevine,
        "MP4 to `--layout single-file`, cbcs": (*widevine, "--scheme", "cbcs", "--layout", "single-file"),
    }.items():
        row(name, in_turn({"ours": pack(source, *options), "cp": copy(source)}, folder))
    if PACKAGER:
        peer(folder, source)
    decrypt(folder, source)
    index = streams(folder, source)
    for path in (source, folder / "part.mp4"):
        path.unlink()
    whole = ("--drm", "simpleaes", "--key-uri", "k")
    for name, options in {"AES-128 of a TS playlist": whole, "SAMPLE-AES of the same": ("--drm", "fairplay")}.items():
        row(name, in_turn({"ours": pack(index, *options), "cp -r": copy(index)}, index.parent))
    shutil.rmtree(index.parent)
    media = small(folder, 2405)
    row("fMP4 package of 2,406 files, 46 MB", in_turn({"ours": pack(media, *widevine), "cp -r": copy(media)}, media.parent))


def peer(folder, source):
    """Shaka Packager, at the same work."""
    out = folder / "out"
    for scheme in ("cbcs", "cenc"):
        command = [PACKAGER, *(f"in={source},stream={kind},init_segment={out}/{kind}/init.mp4,"
                               f"segment_template={out}/{kind}/$Number$.m4s" for kind in ("video", "audio")),
                   "--enable_raw_key_encryption", "--keys", f"label=:key_id={KID}:key={KEY}", "--protection_scheme", scheme,
                   "--segment_duration", "6", "--clear_lead", "0", "--mpd_output", str(out / "manifest.mpd")]
        ours = pack(source, "--drm", "widevine", "--scheme", scheme)
        row(f"{scheme}, beside a peer", in_turn({"ours": ours, "Shaka Packager": command}, folder, min(RUNS, 3)))


def decrypt(folder, source):
    """Of one fragmented file, beside packing it, and beside Bento4."""
    clear, protected = folder / "fragmented.mp4", folder / "protected"
    ffmpeg("-i", source, "-c", "copy", "-map", "0:v", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", clear)
    options = ("--drm", "widevine", "--layout", "single-file")
    subprocess.run(pack(clear, *options, out="protected"), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    video = next(path for path in sorted(protected.glob("*.mp4")) if path.stat().st_size > MEBIBYTE)
    ours = [DRM_PACK, "decrypt", str(video), "--key-file", str(folder / "keys"), "--out", str(folder / "out")]
    row("decrypt, cenc fragmented MP4", in_turn({"ours": ours, "pack of the same": pack(clear, *options)}, folder))
    if bento := shutil.which("mp4decrypt"):
        command = [bento, "--key", f"{KID}:{KEY}", str(video), str(folder / "out")]
        row("the same, beside a peer", in_turn({"ours": ours, "Bento4 mp4decrypt": command}, folder, min(RUNS, 3)))
    shutil.rmtree(protected)
    clear.unlink()


def scale(folder):
    machine()
    print("| work | ours | beside it | ratio | peak |\n|---|---|---|---|---|")
    for count in (10, 100, 1000, 10000):
        media = small(folder, count)
        commands = {"ours": pack(media, "--drm", "widevine"), "cp -r": copy(media)}
        row(f"{count:,} files of 20 kB", in_turn(commands, media.parent, min(RUNS, 3)))
        shutil.rmtree(media.parent)
    for megabytes in (100, 1000, 4000):
        source = film(keyed(folder), megabytes)
        commands = {"ours": pack(source, "--drm", "widevine", "--scheme", "cbcs"), "cp": copy(source)}
        row(f"MP4 of {megabytes / 1000:g} GB, cbcs", in_turn(commands, folder, min(RUNS, 3)))
        source.unlink()


def build(folder):
    machine()
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target")}
    subprocess.run(["cargo", "fetch", "-q", "--locked"], cwd=ROOT, check=True)
    for name in ("from an empty target folder", "after a change of the crate"):
        begin = time.monotonic()
        subprocess.run(["cargo", "build", "-q", "--release", "--locked"], cwd=ROOT, env=environment, check=True)
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
        # As if every file of the crate had changed; none does.
        for path in (folder / "target/release/.fingerprint").glob("drm-pack-*"):
            shutil.rmtree(path)


{"table": table, "scale": scale, "build": build}[sys.argv[1]](pathlib.Path(sys.argv[2]))
