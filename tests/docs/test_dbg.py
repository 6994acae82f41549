import shlex, json, psutil, time, sys
from tests.docs.pages import *
from tests.docs.conftest import run_apart
from tests.docs.test_workflows import PAGE, commands, HELD
def test_x(story, names, run):
    for block, following in zip(blocks_of(PAGE), [*blocks_of(PAGE)[1:], Block("","")]):
        if block.kind!="console": continue
        for command in commands(block):
            if HELD in command: story.before_wait()
            t=time.time()
            if "stop-server" in command:
                pid=int(__import__("pathlib").Path(os.environ["OPENCODE_DRIVER_STATE_DIR"],"server.json").read_text().split('"pid": ')[1].split(",")[0])
                pr=psutil.Process(pid)
                sys.__stderr__.write("SERVER CONNS %r children %r\n" % ([(c.laddr.port, c.raddr.port if c.raddr else None, c.status) for c in pr.net_connections()], [x.cmdline() for x in pr.children(recursive=True)]))
            code, printed = run_apart(shlex.split(names.in_command(command))[1:])
            real=json.loads(printed); story.after(real)
            if following.kind=="json": names.differences(json.loads(following.text), real)
            if "stop-server" in command: sys.__stderr__.write(repr(real))
import os
