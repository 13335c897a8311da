"""The peers' side of the tuner's quality comparison: regret or hypervolume after some trials, a line of JSON for each seed.

    python3 tune_quality.py rustuna|optuna FIRST_SEED END_SEED [PROBLEM ...]

The problems are those of crates/tune/benches/quality.rs, which reads what this prints.
"""

import json
import math
import sys

A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def floats(trial, count, low, high):
    return [trial.suggest_float(f"x{i}", low, high) for i in range(count)]


def sphere5(trial):
    return sum((x - 0.7) ** 2 for x in floats(trial, 5, -5.0, 5.0))


def rosenbrock5(trial):
    x = floats(trial, 5, -2.5, 3.0)
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(4))


def ackley10(trial):
    x = floats(trial, 10, -15.0, 30.0)
    a = -20 * math.exp(-0.2 * math.sqrt(sum(v * v for v in x) / 10))
    return a - math.exp(sum(math.cos(2 * math.pi * v) for v in x) / 10) + 20 + math.e


def rastrigin5(trial):
    return 50 + sum(v * v - 10 * math.cos(2 * math.pi * v) for v in floats(trial, 5, -4.0, 6.0))


def hartmann6(trial):
    x = floats(trial, 6, 0.0, 1.0)
    terms = [math.exp(-sum(a * (v - p) ** 2 for a, v, p in zip(row, x, q))) for row, q in zip(A, P)]
    return 3.32236801141551 - sum(c * t for c, t in zip([1.0, 1.2, 3.0, 3.2], terms))


def branin(trial):
    x, y = trial.suggest_float("x0", -5.0, 10.0), trial.suggest_float("x1", 0.0, 15.0)
    a = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


def conditional(trial):
    hidden = trial.suggest_int("hidden", 8, 512, log=True)
    loss = 0.1 * (math.log2(hidden) - 6.2) ** 2
    if trial.suggest_categorical("cell", ["lstm", "transformer"]) == "lstm":
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        layers = trial.suggest_int("layers", 1, 8)
        loss += 0.5 * (math.log10(rate) + 2.6) ** 2 + 0.1 * abs(layers - 3)
    else:
        heads = trial.suggest_int("heads", 1, 8)
        dropout = trial.suggest_float("dropout", 0.0, 0.6)
        loss += 0.2 + 4 * (dropout - 0.15) ** 2 + 0.05 * abs(heads - 6)
    return loss - 0.1 * (math.log2(74) - 6.2) ** 2


def zdt1(trial):
    x = floats(trial, 5, 0.0, 1.0)
    g = 1 + 9 * sum(x[1:]) / 4
    return x[0], g * (1 - math.sqrt(x[0] / g))


def dtlz2(trial):
    x = floats(trial, 7, 0.0, 1.0)
    g = sum((v - 0.5) ** 2 for v in x[2:])
    a, b = (v * math.pi / 2 for v in x[:2])
    return (1 + g) * math.cos(a) * math.cos(b), (1 + g) * math.cos(a) * math.sin(b), (1 + g) * math.sin(a)


PROBLEMS = {f.__name__: f for f in [sphere5, rosenbrock5, ackley10, rastrigin5, hartmann6, branin, conditional, zdt1, dtlz2]}


def main():
    tuner, first, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if tuner == "rustuna":
        import rustuna as peer
    else:
        import optuna as peer

        peer.logging.set_verbosity(peer.logging.ERROR)
    for seed in range(first, end):
        for name in sys.argv[4:] or PROBLEMS:
            objective = PROBLEMS[name]
            count = {"zdt1": 2, "dtlz2": 3}.get(name, 1)
            sampler = peer.samplers.TPESampler(seed=seed)
            study = peer.create_study(sampler=sampler, directions=["minimize"] * count)
            study.optimize(objective, 200)
            values = [list(t.values) if count > 1 else t.value for t in study.trials]
            print(json.dumps({"tuner": tuner, "problem": name, "seed": seed, "values": values}), flush=True)


main()
