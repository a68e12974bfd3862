"""What the measurements share: where the program is, the machine's state, medians, tables."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))  # runner_client


def default_program():
    return str(ROOT / "build" / "release" / "quipu")


def note(text):
    print(text, file=sys.stderr, flush=True)


def add_common_arguments(parser):
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("--program", default=default_program(), help="quipu; default: the one of build/release")
    parser.add_argument("--threads", type=int, default=physical_cores(), help="default: %(default)s, the cores of this process")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there; -: to stdout, without a table")


def physical_cores():
    """Cores that this process may use, hyper-threads counted once; as `quipu` chooses its threads."""
    cores = set()
    for cpu in os.sched_getaffinity(0):
        try:
            text = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text(encoding="utf-8")
        except OSError:
            text = str(cpu)
        cores.add(text.strip())
    return len(cores)


def describe_machine():
    name = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) * 1024
    return {"cpu": name, "logical_cpus": os.cpu_count(), "memory_bytes": memory, "load_average": os.getloadavg()[0]}


def warn_if_busy():
    load = os.getloadavg()[0]
    if load > 0.3:
        note(f"Warning: the load average is {load:.2f}: something else is running, and these figures will show it")


def run(words, environment=None):
    """Runs a program; its standard output and the most memory it had resident, in bytes."""
    words = [str(word) for word in words]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment)
        except OSError as error:
            raise SystemExit(f"Error: {words[0]}: {error.strerror}") from None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            said = errors.read().decode(errors="replace").strip()[-2000:]
            raise SystemExit(f"Error: {' '.join(words)} ended with status {process.returncode}:\n{said}")
        return out.read().decode(), usage.ru_maxrss * 1024


def run_json(words, environment=None):
    text, peak_rss = run(words, environment)
    try:
        return json.loads(text), peak_rss
    except ValueError as error:
        raise SystemExit(f"Error: {words[0]} did not print JSON: {error}\n{text[:500]}") from None


def warm_page_cache(path):
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass


def median(values):
    return statistics.median(values) if values else 0.0


def mib(n):
    return f"{n / (1 << 20):,.1f} MiB"


def print_table(rows):
    """Rows of cells; the first row is the heading, the first column stands left, the others right."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [str(cell).ljust(w) if i == 0 else str(cell).rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * w for w in widths))


def write_json(where, result):
    if where == "-":
        print(json.dumps(result, indent=1))
    elif where:
        pathlib.Path(where).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        note(f"written to {where}")
