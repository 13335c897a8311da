#!/usr/bin/env python3
"""Times PyTorch on the networks of Tapeloom's benches. Prints one JSON line per configuration.

    torch_step.py --model transformer --device cuda --precision bf16 --mode graph
    torch_step.py --device cuda --matrix > torch.jsonl

lstm_attention, transformer: a training step on data that is already on the device, several batches in turn: forward,
    MSE, backward, clipping if asked for, AdamW. Whole steps are timed, without a synchronisation inside.
lstm_stream: one tick through nn.LSTM, its state carried along: from a row in host memory to an output in host memory.

Precision: bf16 is autocast over float32 weights; tf32 lets matrix products and cuDNN use TF32, f32 forbids it.
Mode: eager; compile is torch.compile, reduce-overhead its mode of that name; graph is one CUDA graph for the whole step, optimizer included, or for the tick.
Timing: after `warmup` steps, the median over `reps` of the mean of `steps`; or `ticks`, after a tenth as many untimed.
Clip is the largest norm of the gradient, 0 for no clipping; threads are the CPU's, 0 for PyTorch's choice.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import time
import warnings
from contextlib import nullcontext

import torch
from torch import nn

MODELS = ["lstm_attention", "transformer", "lstm_stream"]
PRECISIONS = ["f32", "tf32", "bf16"]
MODES = ["eager", "compile", "reduce-overhead", "graph"]
COMPILED = {"compile": None, "reduce-overhead": "reduce-overhead"}
SHAPE = {"batch": 128, "seq": 60, "features": 16, "hidden": 256, "layers": 4, "heads": 8}
OTHER = {"dropout": 0.2, "clip": 0.0, "steps": 50, "reps": 3, "warmup": 10, "ticks": 2000, "threads": 0}
BATCHES = 8  # as many differ; steps take them in turn


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32")
    parser.add_argument("--mode", choices=MODES, default="eager")
    parser.add_argument("--no-onednn", action="store_true", help="CPU: PyTorch's own kernels; try it for ticks")
    parser.add_argument("--matrix", action="store_true", help="every model, precision and mode of the device")
    for name, default in (SHAPE | OTHER).items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default}")
    return parser.parse_args()


class Forecaster(nn.Module):
    """`[batch, seq, features]` to `[batch]`: a body, the mean over time, a head of two layers."""

    def __init__(self, body, hidden, dropout):
        super().__init__()
        self.body = body
        inner = max(1, hidden // 2)
        self.head = nn.Sequential(nn.Linear(hidden, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, 1))

    def forward(self, x):
        return self.head(self.body(x).mean(dim=1)).squeeze(-1)


class LstmAttention(nn.Module):
    """Stacked LSTM, residual self-attention, layer norm."""

    def __init__(self, a):
        super().__init__()
        between = a.dropout if a.layers > 1 else 0.0
        self.lstm = nn.LSTM(a.features, a.hidden, a.layers, batch_first=True, dropout=between)
        self.attention = nn.MultiheadAttention(a.hidden, a.heads, dropout=a.dropout, batch_first=True)
        self.dropout = nn.Dropout(a.dropout)
        self.norm = nn.LayerNorm(a.hidden)

    def forward(self, x):
        x, _ = self.lstm(x)
        attended, _ = self.attention(x, x, x, need_weights=False)
        return self.norm(x + self.dropout(attended))


class Transformer(nn.Module):
    """Projection, learned positions, encoder with the norm in front."""

    def __init__(self, a):
        super().__init__()
        self.project = nn.Linear(a.features, a.hidden)
        self.positions = nn.Parameter(torch.empty(a.seq, a.hidden).uniform_(-0.02, 0.02))
        layer = nn.TransformerEncoderLayer(
            a.hidden, a.heads, 4 * a.hidden, a.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, a.layers, nn.LayerNorm(a.hidden), enable_nested_tensor=False)

    def forward(self, x):
        return self.encoder(self.project(x) + self.positions)


def captured(function):
    """`function` as a CUDA graph. Warms up on a side stream first, as capture demands."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()
    return lambda: (graph.replay(), result)[1]


def autocast(a):
    return torch.autocast(a.device, torch.bfloat16) if a.precision == "bf16" else nullcontext()


def time_training(a):
    body = LstmAttention(a) if a.model == "lstm_attention" else Transformer(a)
    network = Forecaster(body, a.hidden, a.dropout).to(a.device).train()
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, fused=True, capturable=a.mode == "graph")
    forward = network if a.mode not in COMPILED else torch.compile(network, mode=COMPILED[a.mode])
    xs = torch.randn(BATCHES, a.batch, a.seq, a.features, device=a.device)
    ys = xs[:, :, -1, 0] + 0.1 * torch.randn(BATCHES, a.batch, device=a.device)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        with autocast(a):
            predicted = forward(x)
        loss = nn.functional.mse_loss(predicted.float(), y)
        loss.backward()
        if a.clip > 0:
            nn.utils.clip_grad_norm_(parameters, a.clip)
        optimizer.step()
        return loss.detach()

    if a.mode == "graph":
        x, y = xs[0].clone(), ys[0].clone()  # a graph reads from fixed addresses
        replay = captured(lambda: step(x, y))

    def numbered_step(number):
        index = number % BATCHES
        if a.mode != "graph":
            return step(xs[index], ys[index])
        x.copy_(xs[index])
        y.copy_(ys[index])
        return replay()

    synchronise = torch.cuda.synchronize if a.device == "cuda" else lambda: None
    first_loss, *_ = [float(numbered_step(number)) for number in range(1 + a.warmup)]
    wall, cpu = [], []
    for _ in range(a.reps):
        synchronise()
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        for number in range(a.steps):
            loss = numbered_step(number)
        synchronise()
        wall.append((time.perf_counter() - wall_start) * 1e3 / a.steps)
        cpu.append((time.process_time() - cpu_start) * 1e3 / a.steps)
    median = statistics.median(wall)
    return {
        "samples_per_s": round(a.batch * 1e3 / median, 1),
        "ms_step": round(median, 4),
        "ms_step_each": [round(ms, 4) for ms in wall],
        "cpu_ms_step": round(statistics.median(cpu), 4),  # over all threads
        "params": sum(parameter.numel() for parameter in parameters),
        "loss": [round(float(value), 5) for value in (first_loss, loss)],  # of the first and the last step
    }


@torch.inference_mode()
def time_stream(a):
    lstm = nn.LSTM(a.features, a.hidden, a.layers, batch_first=True).to(a.device).eval()
    forward = lstm if a.mode not in COMPILED else torch.compile(lstm, mode=COMPILED[a.mode])
    rows = torch.randn(64, 1, 1, a.features, pin_memory=a.device == "cuda")
    x = rows[0].to(a.device, copy=True)
    h, c = torch.zeros(2, a.layers, 1, a.hidden, device=a.device)

    def advance():
        nonlocal h, c
        with autocast(a):
            y, (hn, cn) = forward(x, (h, c))
        h, c = (h.copy_(hn), c.copy_(cn)) if a.mode == "graph" else (hn, cn)
        return y

    tick = captured(advance) if a.mode == "graph" else advance
    latencies = []
    for number in range(a.ticks // 10 + a.ticks):
        start = time.perf_counter_ns()
        x.copy_(rows[number % len(rows)], non_blocking=True)
        tick().cpu()  # waits for the device
        latencies.append((time.perf_counter_ns() - start) / 1e3)
    latencies = sorted(latencies[a.ticks // 10 :])
    return {
        "us_tick_median": round(statistics.median(latencies), 2),
        "us_tick_p99": round(latencies[len(latencies) * 99 // 100], 2),
        "params": sum(parameter.numel() for parameter in lstm.parameters()),
    }


def report(a):
    """Measures one configuration and prints its line; one that fails has an `error`. Whether it succeeded."""
    cuda = a.device == "cuda"
    # Without AVX-512, oneDNN refuses a bf16 LSTM.
    refused = a.precision == "bf16" and a.model != "transformer" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    shape = ["features", "hidden", "layers"] if a.model == "lstm_stream" else [*SHAPE, "dropout", "clip"]
    line = {name: getattr(a, name) for name in ["model", "device", "precision", "mode", *shape]}
    line |= {"onednn": not (cuda or a.no_onednn or refused), "threads": torch.get_num_threads()}
    try:
        if not cuda and (a.mode == "graph" or a.precision == "tf32"):
            raise ValueError("graph and tf32 need --device cuda")
        torch.manual_seed(0)
        torch.backends.mkldnn.enabled = line["onednn"]
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = a.precision == "tf32"
        line |= time_stream(a) if a.model == "lstm_stream" else time_training(a)
    except Exception as e:  # the rest of the grid goes on
        line["error"] = f"{type(e).__name__}: {str(e)[:300]}"
    if cuda:
        line["peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    line |= {"torch": torch.__version__, "on": torch.cuda.get_device_name() if cuda else f"{os.cpu_count()} CPUs"}
    print(json.dumps(line), flush=True)
    torch._dynamo.reset()
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return "error" not in line


def grid(cuda):
    for model in MODELS:
        for precision in PRECISIONS if cuda else ["f32", "bf16"]:
            for mode in MODES if cuda else ["eager", "compile"]:
                yield {"model": model, "precision": precision, "mode": mode, "no_onednn": False}
        if not cuda:
            yield {"model": model, "precision": "f32", "mode": "eager", "no_onednn": True}


def main():
    a = arguments()
    warnings.filterwarnings("ignore")
    if a.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no CUDA device")
    torch.set_num_threads(a.threads or torch.get_num_threads())
    cells = grid(a.device == "cuda") if a.matrix else [{}]
    succeeded = [report(argparse.Namespace(**(vars(a) | cell))) for cell in cells]
    sys.exit(0 if all(succeeded) else 1)


if __name__ == "__main__":
    main()
