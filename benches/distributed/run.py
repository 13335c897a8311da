#!/usr/bin/env python3
"""Everything that is measured between GPUs of one host, in one run: Tapeloom and PyTorch, one process for each GPU.

    cargo build --release -p tapeloom-peers --features cuda
    benches/distributed/run.py target/release/tapeloom-peers [--ranks 1,2,4,8] [--quick]

Prints what each rank 0 prints, one JSON line for each measurement, and tables at the end. Needs PyTorch; its torchrun starts
the ranks of both. NCCL is the one that PyTorch brings, for both. NVLink multicast stays off.

    collectives   the contract suite; all-reduce, reduce-scatter and all-gather from 1 KB to 1 GB
    equality      loss after 20 steps of one GPU and of all, for ddp and zero1
    scaling       LSTM with attention (2.2 M parameters) and a Transformer of 302 M, weak (a batch for each GPU) and strong
    fault         a rank is killed while all train: how long until the others say so
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TORCH = os.path.join(HERE, "torch_ranks.py")
LARGE = ["--model", "transformer", "--hidden", "1024", "--layers", "24", "--heads", "16"]
SMALL = ["--model", "lstm_attention"]


def nccl_folder():
    """A folder in which the loader finds PyTorch's NCCL by its name."""
    import nvidia.nccl

    return os.path.join(list(nvidia.nccl.__path__)[0], "lib")


def environment():
    env = dict(os.environ, NCCL_NVLS_ENABLE="0", TORCH_SYMM_MEM_DISABLE_MULTICAST="1", OMP_NUM_THREADS="1")
    env["LD_LIBRARY_PATH"] = ":".join([nccl_folder(), "/usr/local/cuda/lib64", env.get("LD_LIBRARY_PATH", "")])
    return env


def launch(ranks, program, port, seconds):
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--master-port={port}"]
    command += ["--no-python", *program] if not program[0].endswith(".py") else program
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=seconds, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return json.loads(line)
    return {"failed": (done.stderr or done.stdout)[:1500]}


class Bench:
    def __init__(self, binary, quick):
        self.binary, self.quick, self.port, self.rows = binary, quick, 29600, []

    def ask(self, ranks, program, **about):
        self.port += 16
        try:
            row = launch(ranks, program, self.port, 150)
        except subprocess.TimeoutExpired:
            row = {"failed": "took longer than 150 s"}
        row |= about
        self.rows.append(row)
        print(json.dumps(row), flush=True)
        return row

    def ours(self, ranks, words, **about):
        return self.ask(ranks, [self.binary, "--device", "cuda", "--ranks", "1", *words], **about)

    def torch(self, ranks, words, **about):
        return self.ask(ranks, [TORCH, *words], **about)

    def collectives(self, ranks):
        self.ours(ranks, ["--model", "collectives"], part="collectives")
        self.torch(ranks, ["--what", "collectives"], part="collectives")

    def equality(self, ranks):
        for model in ("lstm_attention", "transformer"):
            words = ["--model", model, "--steps", "20", "--reps", "1", "--warmup", "0", "--batch", "128"]
            alone = self.ours(1, words, part="equality")
            for strategy in ("ddp", "zero1"):
                row = self.ours(ranks, [*words, "--strategy", strategy], part="equality")
                if "last_loss" in alone and "last_loss" in row:
                    off = abs(row["last_loss"] - alone["last_loss"]) / alone["last_loss"]
                    print(f"# {model} {strategy}: {ranks} ranks against one, loss off by {off:.1e}", flush=True)

    def scaling(self, ranks):
        cases = [(SMALL, 128, 50), (LARGE, 64, 10)]
        for model, batch, steps in cases:
            for precision in ("bf16",) if self.quick else ("f32", "bf16"):
                theirs = "tf32" if precision == "f32" else precision
                words = [*model, "--steps", str(steps), "--warmup", "8"]
                for kind in ("weak",) if self.quick else ("weak", "strong"):
                    for strategy in ("ddp", "zero1"):
                        for count in (1, ranks) if strategy == "ddp" else (ranks,):
                            whole = str(batch * count if kind == "weak" else batch)
                            shape = [*words, "--batch", whole]
                            about = {"part": "scaling", "kind": kind, "strategy": strategy}
                            self.ours(count, [*shape, "--precision", precision, "--strategy", strategy], **about)
                            what = "ddp" if strategy == "ddp" else "fsdp"
                            self.torch(count, [*shape, "--precision", theirs, "--what", what], **about)

    def fault(self, ranks):
        self.port += 16
        with tempfile.TemporaryDirectory() as folder:
            children = []
            for rank in range(ranks):
                env = environment() | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
                env |= {"LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port)}
                command = [self.binary, "--device", "cuda", "--ranks", "1", "--steps", "1000000", "--reps", "1"]
                log = open(os.path.join(folder, str(rank)), "w")
                children.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
            time.sleep(20)
            children[-1].send_signal(signal.SIGKILL)
            begin = time.monotonic()
            try:
                for child in children[:-1]:
                    child.wait(timeout=60)
                said = open(os.path.join(folder, "0")).read()[-600:]
                row = {"part": "fault", "seconds": time.monotonic() - begin, "rank_0_said": said}
            except subprocess.TimeoutExpired:
                row = {"part": "fault", "failed": "the others did not end within 60 s"}
                for child in children:
                    child.kill()
        print(json.dumps(row), flush=True)
        self.rows.append(row)

    def tables(self):
        def cell(value, places=1):
            return f"{value:.{places}f}" if isinstance(value, float) else str(value)

        ours, theirs = ([r for r in self.rows if r.get("part") == "collectives" and r.get("peer") == p] for p in ("tapeloom", "torch"))
        for a, b in zip(ours, theirs):
            print(f"\n| bytes | us, {a['ranks']} ranks: all-reduce | torch | reduce-scatter | torch | all-gather | torch |\n|---|---|---|---|---|---|---|")
            for x, y in zip(a["rows"], b["rows"]):
                names = ("all_reduce_us", "reduce_scatter_us", "all_gather_us")
                print("|", x["bytes"], "|", " | ".join(f"{cell(x[n])} | {cell(y[n])}" for n in names), "|")
        print("\n| peer | network | precision | kind | strategy | GPUs | ms a step | samples/s |\n|---|---|---|---|---|---|---|---|")
        for r in self.rows:
            if r.get("part") == "scaling" and "ms_step" in r:
                print(
                    f"| {r['peer']} | {r['model']} {r['hidden']} x {r['layers']} | {r['precision']} | {r['kind']} | {r['strategy']} "
                    f"| {r['ranks']} | {cell(r['ms_step'], 3)} | {cell(r['samples_per_s'], 0)} |"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--ranks", default="2", help="numbers of GPUs, with commas")
    parser.add_argument("--parts", default="collectives,equality,scaling,fault")
    parser.add_argument("--quick", action="store_true", help="bf16 and weak scaling alone")
    a = parser.parse_args()
    bench = Bench(os.path.abspath(a.binary), a.quick)
    for ranks in map(int, a.ranks.split(",")):
        for part in a.parts.split(","):
            getattr(bench, part)(ranks)
    bench.tables()


if __name__ == "__main__":
    main()
