"""More speech and noise for the speech models, from packages of Debian's archive.

    python recipes/debian_sounds.py OUT [--packages FOLDER] [--ffmpeg PROGRAM] [--without NAME]
                                        [--speech NAME=FOLDER ...]

Fetches packages of sounds (`apt-get download`; those that lie in ``--packages`` already are taken
from there), unpacks what is listed below, and writes mono recordings at 16 kHz in the layout that
`SpeechMixtures(more=[OUT])` reads:

    OUT/train/NAME_00.flac, NAME_index.csv     utterances: shard, start, stop in samples
    OUT/noise_train/NAME_GROUP_00.flac         recordings of up to a minute

Needs a Debian system (apt-get, dpkg-deb) and ffmpeg, for G.722. Single effects are short: those of
a folder are joined, in an order of their names' digests, to recordings long enough to cut from.
The sounds are CC0, CC BY or CC BY-SA, but for some of `supertuxkart-data`, which are under the GPL,
and which was not sorted out: `--without supertuxkart-data` leaves it out. Read
/usr/share/doc/PACKAGE/copyright before a model that was trained on them is given away. The bundled
`speech-denoise` was trained on all but those.

`--speech NAME=FOLDER` adds folders of utterances, one a file, in OUT/recordings: a group of its own
in `SpeechMixtures(more=[OUT, OUT/recordings])`. `speech-live` heard two such, from
public repositories: rhasspy/dataset-voice-kerstin (CC0) and MycroftAI/Precise-Community-Data
(public domain). Packages under the GPL alone (klettres-data, ktuberling-data, hedgewars-data,
tuxpaint-stamps-default, colobot-common-sounds) are left out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
SOUNDS = (".ogg", ".wav", ".g722", ".flac", ".opus", ".mp3", ".webm")
LONGEST_S = 60.0  # of a noise recording
SHORTEST_S = 1.0  # of an utterance
MUSIC = 24  # recordings of a package's music, which would otherwise outweigh everything else
SHARD_S = 600.0

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Package:
    """What is taken from a package.

    Attributes:
        name: of the package.
        kind: "speech" or "noise".
        under: parts of paths, of which a file's has one; all files if empty.
        without: parts of paths, of which it has none.
        archives: the files lie in zip archives.
    """

    name: str
    kind: str = "noise"
    under: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    archives: bool = False


PACKAGES = (
    *(
        Package(f"asterisk-core-sounds-{language}-g722", "speech", without=("silence/",))
        for language in ("en", "es", "fr", "it", "ru")
    ),
    Package("0ad-data", "speech", under=("audio/voice",), archives=True),
    Package("0ad-data", without=("audio/voice", "audio/interface"), archives=True),
    Package("megaglest-data"),
    Package("supertuxkart-data"),
    Package("sonic-pi-samples"),
    Package("minetest-data"),
    Package("lomiri-sounds"),
    Package("asterisk-moh-opsound-wav"),
    Package("asterisk-prompt-it-menardi-wav", "speech", without=("silence/",)),
    Package("endless-sky-data"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", type=Path, help="folder of packages that are there already")
    parser.add_argument("--ffmpeg", default="ffmpeg", help="the program")
    parser.add_argument("--without", nargs="*", default=[], help="names of packages to leave out")
    parser.add_argument(
        "--speech", nargs="*", default=[], metavar="NAME=FOLDER", help="folders of utterances"
    )
    args = parser.parse_args()
    if not shutil.which("dpkg-deb") or not shutil.which(args.ffmpeg):
        parser.error("dpkg-deb (a Debian system) and ffmpeg are needed")
    for package in PACKAGES:
        if package.name in args.without:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            files = list(unpack(package, args.packages, Path(scratch)))
            if package.kind == "speech":
                seconds = write_speech(package.name, files, args.out / "train", args.ffmpeg)
            else:
                seconds = write_noise(package.name, files, args.out / "noise_train", args.ffmpeg)
        print(f"{package.name}: {len(files)} files, {seconds / 60:.1f} min of {package.kind}")
    for entry in args.speech:
        name, _, folder = entry.partition("=")
        files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SOUNDS)
        seconds = write_speech(name, files, args.out / "recordings" / "train", args.ffmpeg)
        print(f"{name}: {len(files)} files, {seconds / 60:.1f} min of speech")


def unpack(package: Package, known: Path | None, scratch: Path) -> Iterator[Path]:
    """The package's sounds, unpacked, in the order of their paths."""
    at_hand = sorted((known or scratch).glob(f"{package.name}_*.deb"))
    if not at_hand:
        subprocess.run(["apt-get", "download", package.name], cwd=scratch, check=True)
        at_hand = sorted(scratch.glob(f"{package.name}_*.deb"))
    root = scratch / "unpacked"
    subprocess.run(["dpkg-deb", "--extract", str(at_hand[-1]), str(root)], check=True)
    if package.archives:
        for archive in sorted(root.rglob("*.zip")):
            with zipfile.ZipFile(archive) as file:
                file.extractall(root, [n for n in file.namelist() if n.endswith(SOUNDS)])
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root).as_posix()
        if path.suffix not in SOUNDS or path.is_symlink():
            continue
        if package.under and not any(part in place for part in package.under):
            continue
        if not any(part in place for part in package.without):
            yield path


def decode(path: Path, ffmpeg: str, longest_s: float | None = None) -> Wave:
    """Mono at 16 kHz; empty where the file cannot be read."""
    limit = [] if longest_s is None else ["-t", str(longest_s)]
    command = [ffmpeg, "-v", "error", "-i", str(path), *limit, "-ac", "1", "-ar", str(RATE)]
    done = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, check=False)
    wave = np.frombuffer(done.stdout, np.float32)
    return wave if done.returncode == 0 else wave[:0]


def write_speech(name: str, files: Iterable[Path], folder: Path, ffmpeg: str) -> float:
    """Shards of ten minutes and their index; returns the seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, int, int]] = []
    shard: list[Wave] = []
    number, length, total = 0, 0, 0

    def close() -> None:
        nonlocal number, length, shard
        if shard:
            soundfile.write(folder / _shard(name, number), np.concatenate(shard), RATE)
            number, length, shard = number + 1, 0, []

    for path in files:
        wave = decode(path, ffmpeg)
        if len(wave) < SHORTEST_S * RATE:
            continue
        wave = 0.5 * wave / max(float(np.abs(wave).max()), 1e-3)
        rows.append((_shard(name, number), length, length + len(wave)))
        shard.append(wave)
        length += len(wave)
        total += len(wave)
        if length > SHARD_S * RATE:
            close()
    close()
    with (folder / f"{name}_index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["shard", "start", "stop"])
        writer.writerows(rows)
    return total / RATE


def _shard(name: str, number: int) -> str:
    return f"{name}_{number:02d}.flac"


def write_noise(name: str, files: Iterable[Path], folder: Path, ffmpeg: str) -> float:
    """Recordings of up to a minute, of one long sound or of a folder's short ones."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        groups[path.parent.name].append(path)
    total, longest = 0.0, int(LONGEST_S * RATE)
    for group, members in groups.items():
        made, joined = 0, np.zeros(0, np.float32)
        music = "music" in group.lower() or "moh" in group
        members.sort(key=lambda p: hashlib.sha256(p.name.encode()).hexdigest())
        for path in members:
            wave = decode(path, ffmpeg, LONGEST_S)
            if len(wave) < 0.1 * RATE or float(np.abs(wave).max()) < 1e-3:
                continue
            wave = 0.5 * wave / float(np.abs(wave).max())
            if len(wave) > 0.25 * longest:
                total += _write_noise(folder / f"{name}_{group}_{made:02d}.flac", wave)
                made += 1
            else:
                joined = np.concatenate([joined, wave])
            if len(joined) > longest:
                total += _write_noise(folder / f"{name}_{group}_{made:02d}.flac", joined)
                made, joined = made + 1, joined[:0]
            if music and made >= MUSIC:
                break
        if len(joined) > 2 * RATE:
            total += _write_noise(folder / f"{name}_{group}_{made:02d}.flac", joined)
    return total


def _write_noise(path: Path, wave: Wave) -> float:
    soundfile.write(path, wave, RATE)
    return len(wave) / RATE


if __name__ == "__main__":
    main()
