"""The peers' side of the tuner's overhead comparison: CPU ms for asking, naming ten parameters and telling.

    python3 tune_overhead.py rustuna|optuna [STORAGE_URL] [SIZE ...]

The same steps as crates/tune/benches/overhead.rs, over studies that hold so many complete trials.
"""

import json
import math
import random
import sys
import time

NAMES = [f"f{i}" for i in range(6)]


def drawn(rng):
    params = {
        "lr": math.exp(rng.uniform(math.log(1e-5), math.log(1e-1))),
        "layers": rng.randint(1, 20),
        "hidden": round(math.exp(rng.uniform(math.log(16), math.log(512)))),
        "cell": rng.choice(["lstm", "gru", "transformer"]),
    }
    return params | {name: rng.uniform(-5, 5) for name in NAMES}


def suggested(trial):
    trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    trial.suggest_int("layers", 1, 20)
    trial.suggest_int("hidden", 16, 512, log=True)
    trial.suggest_categorical("cell", ["lstm", "gru", "transformer"])
    return sum(trial.suggest_float(name, -5, 5) ** 2 for name in NAMES)


def main():
    tuner, arguments = sys.argv[1], sys.argv[2:]
    storage = arguments.pop(0) if arguments and not arguments[0].isdigit() else None
    if tuner == "rustuna":
        import rustuna as peer
    else:
        import optuna as peer

        peer.logging.set_verbosity(peer.logging.ERROR)
    kinds = peer.distributions
    domains = {
        "lr": kinds.FloatDistribution(1e-5, 1e-1, log=True),
        "layers": kinds.IntDistribution(1, 20),
        "hidden": kinds.IntDistribution(16, 512, log=True),
        "cell": kinds.CategoricalDistribution(["lstm", "gru", "transformer"]),
    } | {name: kinds.FloatDistribution(-5, 5) for name in NAMES}
    for size in map(int, arguments or ["100", "1000", "5000", "10000"]):
        rng = random.Random(1)
        options = {"storage": storage, "study_name": f"overhead-{time.time_ns()}"} if storage else {}
        study = peer.create_study(sampler=peer.samplers.TPESampler(seed=1), **options)
        for _ in range(size):
            params = drawn(rng)
            value = sum(params[name] ** 2 for name in NAMES)
            study.add_trial(peer.create_trial(params=params, distributions=domains, value=value)
                            if tuner == "rustuna" else
                            peer.trial.create_trial(params=params, distributions=domains, value=value))
        repeats = 200 if tuner == "rustuna" else 20
        for step in range(repeats + 1):
            if step == 1:
                start = time.process_time()
            trial = study.ask()
            study.tell(trial.number if tuner == "rustuna" else trial, suggested(trial))
        ms = (time.process_time() - start) * 1e3 / repeats
        print(json.dumps({"tuner": tuner, "storage": storage or "memory", "trials": size, "ms": round(ms, 4)}), flush=True)


main()
