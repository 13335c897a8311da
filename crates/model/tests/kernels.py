#!/usr/bin/env python3
"""Compiles every CUDA kernel in the variants that the crate launches, with NVRTC and without a card.

    pip install nvidia-cuda-nvrtc        # or a CUDA installation
    kernels.py                           # exit status 1 where a text does not compile
    kernels.py --there                   # exit status 0 where NVRTC is found

The library is looked for in $TAPELOOM_NVRTC (a folder that holds an environment of Python), beside this Python, and in /usr/local/cuda.
"""

import ctypes
import glob
import os
import sys
from concurrent.futures import ThreadPoolExecutor

KERNELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "cuda", "kernels")
WIDTHS = [32, 64, 96, 128, 160, 192, 224, 256]


def variants():
    """Name of a file, and its macros."""
    for act in ({}, {"ACT_BF16": 1}):
        half = int(bool(act))
        for width in WIDTHS:
            for name in ("lstm_forward", "lstm_backward", "gru_forward", "gru_backward"):
                yield name, act | {"H": width}
        for depth in (8, 16, 24, 32, 40, 48, 56, 64):
            for name in ("attention_forward", "attention_backward"):
                yield name, act | {"D": depth}
                yield name, act | {"D": depth, "DIALS": 1}
        for tile_m in (64, 128):
            for tile_n in (64, 128):
                tiles = act | {"TILE_M": tile_m, "TILE_N": tile_n}
                yield "gemm", tiles | {"BIAS": 1}
                yield "gemm", tiles | {"TRANS_B": 1}
                weight = tiles | {"TRANS_A": 1, "SPLIT": 1, "C_BF16": 0}
                yield "gemm", weight | {"B_BF16": half, "COLSUM": 1}
                yield "gemm", weight | {"B_BF16": half, "SHIFT_T": 1}
                if tile_m == tile_n == 64:
                    yield "gemm", tiles | {"SPLIT": 1, "C_BF16": 0}
                    yield "gemm", tiles | {"SPLIT": 1, "C_BF16": 0, "TRANS_B": 1}
                yield "gemm_fast", weight | {"SHIFT_T": 1} if half else tiles | {"TRANS_B": 1}
        for width in (33, 256):
            yield "norm", act | {"H": width}
        yield "dropout", act
        yield "dropout", act | {"RESIDUAL": 1}
        yield "dropout", act | {"DIALS": 1}
        yield "dropout", act | {"RAGGED": 1, "RESIDUAL": 1}
        yield "gather", act
        yield "mean_time", act
        yield "lstm_step", act
        yield "gru_step", act
        yield "gelu", act
    yield "gemm_reduce", {}
    for kind in (0, 1, 2):
        yield "loss", {"KIND": kind}
    for count in (1, 7, 32):
        yield "adamw", {"COUNT": count}
        yield "adamw", {"COUNT": count, "DIALS": 1}
        yield "exchange", {"COUNT": count}
        yield "exchange", {"COUNT": count, "FLAT_BF16": 1}


def library():
    folders = [os.environ.get("TAPELOOM_NVRTC", ""), sys.prefix]
    places = [f"{folder}/lib/python3*/site-packages/nvidia/*/lib" for folder in folders if folder]
    for place in [*places, "/usr/local/cuda/lib64"]:
        for path in sorted(glob.glob(f"{place}/libnvrtc.so.1?")):
            for part in glob.glob(f"{os.path.dirname(path)}/libnvrtc-builtins.so.*"):
                ctypes.CDLL(part, mode=ctypes.RTLD_GLOBAL)  # NVRTC asks the loader for it by name
            return ctypes.CDLL(path)
    return None


def compiled(nvrtc, name, macros):
    """The compiler's log when it refuses, otherwise nothing."""
    text = "".join(f"#define {key} {value}\n" for key, value in macros.items())
    for part in ("common.cuh", f"{name}.cu"):
        with open(os.path.join(KERNELS, part), encoding="utf-8") as file:
            text += file.read() + "\n"
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    options = [b"--gpu-architecture=sm_90a", b"-lineinfo"]
    refused = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() if refused else None


def main():
    nvrtc = library()
    if "--there" in sys.argv[1:]:
        return int(nvrtc is None)
    if nvrtc is None:
        print("NVRTC is not there; pip install nvidia-cuda-nvrtc")
        return 1
    files = {file[:-3] for file in os.listdir(KERNELS) if file.endswith(".cu")}
    jobs = list(variants())
    missing = files - {name for name, _ in jobs}
    bad = [f"{name}.cu is in no variant" for name in sorted(missing)]
    # The compiler runs outside Python's lock.
    with ThreadPoolExecutor() as pool:
        for (name, macros), log in zip(jobs, pool.map(lambda job: compiled(nvrtc, *job), jobs)):
            if log is not None:
                bad.append(f"{name}.cu {macros}:\n{log}")
    print(*bad, f"{len(jobs)} variants, {len(bad)} refused", sep="\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
