#!/usr/bin/env python3
"""One rank of PyTorch, started by torchrun: the peer of `tapeloom-peers --ranks 1`. Rank 0 prints one JSON line.

    torchrun --nproc-per-node 2 torch_ranks.py --what collectives
    torchrun --nproc-per-node 2 torch_ranks.py --what ddp --model transformer --precision bf16 --batch 256

What: collectives times NCCL through torch.distributed; ddp and fsdp (fully_shard on each layer) time training steps of the
networks of torch_step.py. Batch is that of all ranks.
"""

import argparse
import json
import os
import statistics
import sys
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import torch_step as peer  # noqa: E402


def collectives(device, world):
    rows = []
    for log in (10, 14, 17, 20, 23, 26, 29, 30):
        count = (1 << log) // 4
        buffer = torch.zeros(count, device=device)
        part = buffer[: count // world].clone()
        runs = 20 if log > 24 else 100

        def timed(call, runs=runs):
            for _ in range(runs // 5):
                call()
            torch.cuda.synchronize()
            dist.barrier()
            begin = time.perf_counter()
            for _ in range(runs):
                call()
            torch.cuda.synchronize()
            return (time.perf_counter() - begin) * 1e6 / runs

        rows.append(
            {
                "bytes": 1 << log,
                "all_reduce_us": timed(lambda: dist.all_reduce(buffer)),
                "reduce_scatter_us": timed(lambda: dist.reduce_scatter_tensor(part, buffer)),
                "all_gather_us": timed(lambda: dist.all_gather_into_tensor(buffer, part)),
            }
        )
    return {"rows": rows, "nccl": torch.cuda.nccl.version()}


def training(a, device, world):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(1)
    body = peer.LstmAttention(a) if a.model == "lstm_attention" else peer.Transformer(a)
    network = peer.Forecaster(body, a.hidden, a.dropout).to(device).train()
    if a.what == "fsdp":
        for layer in body.encoder.layers if a.model == "transformer" else []:
            fully_shard(layer)
        fully_shard(network)
        trained = network
    else:
        trained = DistributedDataParallel(network, device_ids=[device.index])
    optimizer = torch.optim.AdamW(trained.parameters(), fused=True)
    here = a.batch // world
    xs = torch.randn(8, here, a.seq, a.features, device=device)
    ys = xs[:, :, -1, 0] + 0.1 * torch.randn(8, here, device=device)

    def step(number):
        optimizer.zero_grad(set_to_none=True)
        with peer.autocast(a):
            predicted = trained(xs[number % 8])
        loss = nn.functional.mse_loss(predicted.float(), ys[number % 8])
        loss.backward()
        optimizer.step()
        return loss.detach()

    for number in range(a.warmup):
        step(number)
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(a.reps):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for number in range(a.steps):
            loss = step(number)
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e3 / a.steps)
    return {
        "ms_step": statistics.median(times),
        "samples_per_s": a.batch * 1e3 / statistics.median(times),
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
        "last_loss": float(loss),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=["collectives", "ddp", "fsdp"], default="ddp")
    parser.add_argument("--model", choices=peer.MODELS[:2], default=peer.MODELS[0])
    parser.add_argument("--precision", choices=["tf32", "bf16"], default="tf32")
    for name, default in (peer.SHAPE | peer.OTHER).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    a = parser.parse_args()
    a.device = "cuda"
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    world = dist.get_world_size()
    result = collectives(device, world) if a.what == "collectives" else training(a, device, world)
    if dist.get_rank() == 0:
        about = {"peer": "torch", "what": a.what, "model": a.model, "precision": a.precision, "ranks": world}
        print(json.dumps(about | {"batch": a.batch, "hidden": a.hidden, "layers": a.layers} | result), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
