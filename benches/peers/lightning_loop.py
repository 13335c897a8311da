"""What Lightning's loop costs around a step of a linear model on the CPU; the peer of `--model loop`.

    python benches/peers/lightning_loop.py --batch 32 --features 16 --steps 2000
"""

import argparse
import json
import logging
import time
import warnings

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Linear(L.LightningModule):
    def __init__(self, features):
        super().__init__()
        self.net = torch.nn.Linear(features, 1)
        self.begin = self.end = 0.0

    def training_step(self, batch, _):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)

    def on_train_start(self):
        self.begin = time.perf_counter()

    def on_train_end(self):
        self.end = time.perf_counter()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--reps", type=int, default=3)
    o = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    count = o.batch * o.steps
    data = TensorDataset(torch.randn(count, o.features), torch.randn(count, 1))
    bare, whole = [], []
    for _ in range(o.reps):
        loader = DataLoader(data, batch_size=o.batch, shuffle=True)
        model = Linear(o.features)
        optimizer = model.configure_optimizers()
        begin = time.perf_counter()
        for x, y in loader:
            loss = torch.nn.functional.mse_loss(model.net(x), y)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss.item(), norm.item()
        bare.append((time.perf_counter() - begin) * 1e6 / o.steps)
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=1.0,
            log_every_n_steps=1,
        )
        model = Linear(o.features)
        trainer.fit(model, loader)
        whole.append((model.end - model.begin) * 1e6 / o.steps)
    middle = lambda values: sorted(values)[len(values) // 2]
    print(json.dumps({
        "peer": "lightning " + L.__version__, "torch": torch.__version__, "batch": o.batch, "features": o.features,
        "steps": o.steps, "bare_us": middle(bare), "trainer_us": middle(whole),
    }))


main()
