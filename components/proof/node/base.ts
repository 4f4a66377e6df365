/**
 * The part of the node-side probe that keeps its promise to leave nothing behind.
 *
 * Why Python: it is on every supported node (cloud-init needs it), its sockets make and count packets of exact sizes
 * with DF set, and one process answers all questions of a pair: under software emulation starting a process costs more
 * than the probe itself.
 *
 * How it cleans up, from the most to the least certain:
 * - network namespaces have no name and no file: they live as long as the process that opened them, so the kernel
 *   removes them and every device in them whatever ends the process;
 * - what lives outside of them (an MTU, a route, a device of the node) is written to the run's undo file *before* it is
 *   made; a guardian process undoes it when the probe ends, when the SSH connection is gone, on a signal and at the
 *   time limit;
 * - where the guardian was killed too, the next start finds the run directory without a lock and undoes it then.
 * A live run keeps its lock, so that two runs never sweep each other.
 */
export const nodeBase = String.raw`
import ctypes, errno, fcntl, glob, json, os, select, shutil, signal, socket, struct, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

PREFIX = '/run/swp-'
RUN, LIMIT_SECONDS = sys.argv[1], float(sys.argv[2])
DIR = PREFIX + RUN
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
OUTPUT = threading.Lock()


class Failure(Exception):
    """Something the person who reads the result can act on."""


def say(message):
    with OUTPUT:
        data = (json.dumps(message) + '\n').encode()
        while data:
            data = data[os.write(1, data):]


def command(*args, check=True, stdin=None):
    try:
        done = subprocess.run(args, input=stdin, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        raise Failure(args[0] + ' is not installed on the node')
    if check and done.returncode != 0:
        raise Failure(' '.join(args) + ': ' + (done.stderr.strip() or 'exit code %d' % done.returncode))
    return done.stdout


def undo_later(*args):
    with open(DIR + '/undo', 'a') as file:
        file.write(json.dumps(args) + '\n')
        file.flush()
        os.fsync(file.fileno())


def clean(directory):
    """Undoes what a run did to the node, last change first. What is gone already is no error."""
    try:
        lines = open(directory + '/undo').read().splitlines()
    except FileNotFoundError:
        lines = []
    for line in reversed(lines):
        try:
            subprocess.run(json.loads(line), capture_output=True, timeout=30)
        except ValueError:
            pass  # The line was cut by the crash that this cleans up after: its change was not made yet.
    shutil.rmtree(directory, ignore_errors=True)


def locked(directory):
    """An open lock on a run directory, or None where its run is alive."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except OSError:
        os.close(fd)
        return None


def sweep():
    # One sweeper at a time: between the making of a run directory and its lock there is a moment without an owner.
    gate = os.open('/run', os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(gate, fcntl.LOCK_EX)
    swept = []
    for directory in glob.glob(PREFIX + '*'):
        fd = locked(directory) if os.path.isdir(directory) else None
        if fd is not None:
            clean(directory)
            os.close(fd)
            swept.append(directory)
    os.mkdir(DIR, 0o700)
    lock = locked(DIR)
    os.mkfifo(DIR + '/ctl', 0o600)
    os.close(gate)
    os.set_inheritable(lock, False)
    return swept


def guard(child):
    """Waits for the probe, the time limit, a signal or the end of the connection, whichever is first; then cleans."""
    stopped = []
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    poll = select.poll()
    poll.register(1, 0)
    deadline = time.monotonic() + LIMIT_SECONDS
    gone = False
    while not gone and not stopped and time.monotonic() < deadline:
        gone = os.waitpid(child, os.WNOHANG)[0] != 0
        # POLLERR or POLLHUP: nobody reads our output any more, the connection is closed.
        if not gone and poll.poll(100):
            break
    if not gone:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    clean(DIR)


def start(serve):
    swept = sweep()
    guardian = os.getpid()
    child = os.fork()
    if child:
        guard(child)
        return
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        serve(swept)
    finally:
        os._exit(0)
`;
