#!/usr/bin/env python3
"""How many small mistakes in native/ and cuda/, made one at a time, do the native tests notice?

  test/mutation/native.py [ROOM...] [--mutants N] [--seed N] [--again]

Draws lines of each room, changes each by one rule of universalmutator, builds and tests. Counts what was noticed and what
survived; leaves out what does not compile and what compiles to the same objects. Works in build/mutation/copy, so the
checkout stays as it is however this ends. Prints what survived, keeps all verdicts in build/mutation/ROOM.json, and fails
where less than 90 % of a room's mistakes were noticed. Needs scripts/setup --mutation.
"""
import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

LEAST_SCORE = 90
CHECKOUT = Path(__file__).resolve().parents[2]
COPIED = ("CMakeLists.txt", "cmake", "native", "cuda", "test/native", "test/cuda")
RULES = ("universal.rules", "c_like.rules", "cpp.rules")
# Comments, the preprocessor and declarations, where no change compiles or none matters.
LEFT_ALONE = r"^\s*(//|#|static_assert|namespace|using|template|private:|public:|[{}]*\s*(//.*)?$)"
MEMORY = 16 << 30
# Quick to build; without the checks of symbols (nm), which say nothing about behaviour.
OPTIONS = "-DCMAKE_BUILD_TYPE=Mutation -DCMAKE_CXX_FLAGS=-O1 -DDPM_WERROR=OFF -DDPM_ADDON=OFF -DDPM_TESTS=ON -DCMAKE_NM="


def files_below(folder, roots):
    for root in roots:
        path = folder / root
        yield from (path.rglob("*") if path.is_dir() else [path])


class Copy:
    """A copy of the sources with a build of its own, which is brought back in step before every use."""

    def __init__(self, root, work):
        self.root, self.path = root, work / "copy"
        self.build_folder = self.path / "build" / "mutation"

    def synchronise(self):
        wanted = {path.relative_to(self.root) for path in files_below(self.root, COPIED) if path.is_file()}
        for path in list(files_below(self.path, COPIED)):
            if path.is_file() and path.relative_to(self.path) not in wanted:
                path.unlink()
        for name in wanted:
            source, target = self.root / name, self.path / name
            if not target.exists() or source.read_bytes() != target.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        command = ["cmake", "-S", self.path, "-B", self.build_folder, "-G", "Ninja", *OPTIONS.split()]
        subprocess.run(command, check=True, stdout=DEVNULL)

    def build(self):
        command = ["cmake", "--build", self.build_folder, "--target", "dpm_native_tests"]
        return subprocess.run(command, stdout=PIPE, stderr=STDOUT, text=True)

    def objects(self):
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in self.build_folder.rglob("*.o")}

    def tests_pass(self, selection, seconds=None):
        tests = self.build_folder / "bin" / "dpm_native_tests"
        command = [tests, "--gtest_brief=1", "--gtest_fail_fast", f"--gtest_filter={selection}"]
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        # Twice, as a test that waits can fail on a busy machine.
        for _ in range(2):
            try:
                result = subprocess.run(command, timeout=seconds, preexec_fn=limit, stdout=DEVNULL, stderr=DEVNULL)
            except subprocess.TimeoutExpired:
                return False
            if result.returncode == 0:
                return True
        return False


class Bench:
    """Judges mistakes of one room: its own tests first, as they notice most, then all others but those that cannot reach it."""

    def __init__(self, copy, first, unrelated):
        self.copy, self.selections, self.limits = copy, (first, f"-{first}:{unrelated}"), []
        copy.synchronise()
        result = copy.build()
        if result.returncode != 0:
            sys.exit(result.stdout)
        self.unchanged = copy.objects()
        for selection in self.selections:
            start = time.monotonic()
            if not copy.tests_pass(selection):
                sys.exit(f"native.py: the tests {selection} fail without any mistake")
            self.limits.append(60 + 6 * (time.monotonic() - start))

    def judge(self, mutant):
        path = self.copy.path / mutant["file"]
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        if lines[mutant["line"] - 1] != mutant["before"]:
            return "gone"
        lines[mutant["line"] - 1] = mutant["after"]
        try:
            path.write_text("".join(lines))
            return self.verdict()
        finally:
            path.write_text(text)

    def verdict(self):
        if self.copy.build().returncode != 0:
            return "does not compile"
        if self.copy.objects() == self.unchanged:
            return "equivalent"
        passed = all(self.copy.tests_pass(*each) for each in zip(self.selections, self.limits))
        return "survived" if passed else "noticed"


def is_sensible(before, after):
    """Not a statement more, no empty message, no other name, and no operator of templates or pointers, which has no spaces."""
    place, operators = len(os.path.commonprefix([before, after])), "<>*&+-="
    in_name = before[place:][:1].isdigit() and (before[place - 1].isalnum() or before[place - 1] == "_")
    if after.startswith(before) or ('""' in after and '""' not in before) or in_name:
        return False
    left, right = before[:place].rstrip(operators), before[place:].lstrip(operators)
    return before[place] not in operators or (left.endswith(" ") and right.startswith(" "))


def mutants_of(root, name):
    """Of every line of a file: the changes that the rules know."""
    from universalmutator.mutator import mutants_regexp

    source = (root / name).read_text().splitlines(keepends=True)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        found = mutants_regexp(source, ruleFiles=list(RULES), ignorePatterns=[LEFT_ALONE], ignoreStringOnly=True)
    by_line = {}
    for line, after, *_ in found:
        before = source[line - 1]
        if is_sensible(before, after):
            by_line.setdefault(line, []).append({"file": str(name), "line": line, "before": before, "after": after})
    return list(by_line.values())


def draw(root, room, seed):
    """Mistakes in a random order: every line once, a long one no more often than a short one."""
    chosen = random.Random(seed)
    # Without files that never run on this processor.
    flags = Path("/proc/cpuinfo").read_text()
    patterns = [each["files"] for each in room["sources"] if each.get("needs", "") in flags]
    names = sorted({path.relative_to(root) for pattern in patterns for path in root.glob(pattern)})
    lines = [line for name in names for line in mutants_of(root, name)]
    chosen.shuffle(lines)
    return [chosen.choice(line) for line in lines]


def report(name, mutants):
    count = lambda verdict: sum(mutant["verdict"] == verdict for mutant in mutants)
    noticed, counted = count("noticed"), count("noticed") + count("survived")
    score = 100 * noticed / counted if counted else 100
    left_out = f"{count('does not compile')} do not compile, {count('equivalent')} are equivalent"
    print(f"{name}: {noticed} of {counted} noticed, {score:.1f} %; {left_out}", flush=True)
    return score


def try_room(name, candidates, wanted, bench, work):
    mutants, counted, path = [], 0, work / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for mutant in candidates:
        if counted == wanted:
            break
        mutant["verdict"] = bench.judge(mutant)
        mutants.append(mutant)
        path.write_text(json.dumps(mutants, indent=2) + "\n")
        counted += mutant["verdict"] in ("noticed", "survived")
        if mutant["verdict"] == "survived":
            print(f"  survived: {mutant['file']}:{mutant['line']}", flush=True)
            print(f"  - {mutant['before'].strip()}\n  + {mutant['after'].strip()}", flush=True)
    return report(name, mutants)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", metavar="ROOM")
    parser.add_argument("--mutants", type=int, default=20, help="that compile to something else, for each room")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--again", action="store_true", help="only what survived the last time")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    root, work = options.root, options.root / "build" / "mutation"
    work.mkdir(parents=True, exist_ok=True)
    lock = open(work / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    # As an exception it ends the tests that run, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["PATH"] = f"{CHECKOUT / '.toolchain' / 'bin'}:{os.environ['PATH']}"
    sys.path.insert(0, str(CHECKOUT / ".toolchain" / "mutation"))
    rooms = json.loads((root / "test" / "mutation" / "rooms.json").read_text())["native"]
    scores = {}
    for name in options.rooms or rooms:
        if options.again:
            last = json.loads((work / f"{name}.json").read_text())
            candidates = [mutant for mutant in last if mutant["verdict"] == "survived"]
        else:
            candidates = draw(root, rooms[name], f"{options.seed} {name}")
        bench = Bench(Copy(root, work), rooms[name]["first"], rooms[name]["unrelated"])
        scores[name] = try_room(name, candidates, len(candidates) if options.again else options.mutants, bench, work)
    print(", ".join(f"{name} {score:.1f} %" for name, score in scores.items()))
    sys.exit(min(scores.values()) < LEAST_SCORE)


if __name__ == "__main__":
    main()
