"""Three updates of one parameter by each rule of torch.optim: the values that the tests of the optimizers compare with.

LAMB is not in torch.optim; it is written out here from Algorithm 2 of You et al. 2020.
"""

import torch

GRADIENTS = [[0.1, -0.2, 0.3], [0.4, 0.1, -0.2], [-0.3, 0.2, 0.1]]
START = [1.0, -2.0, 0.5]


def run(make):
    x = torch.nn.Parameter(torch.tensor(START))
    optimizer = make([x])
    for gradient in GRADIENTS:
        x.grad = torch.tensor(gradient)
        optimizer.step()
    return x.detach().tolist()


def lamb(rate=0.1, decay=0.1, betas=(0.9, 0.999), eps=1e-8):
    x = torch.tensor(START, dtype=torch.float64)
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    for t, gradient in enumerate(GRADIENTS, 1):
        g = torch.tensor(gradient, dtype=torch.float64)
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        step = m / (1 - betas[0] ** t) / ((v / (1 - betas[1] ** t)).sqrt() + eps) + decay * x
        x = x - rate * x.norm() / step.norm() * step
    return x.tolist()


def lion(rate=0.1, decay=0.1, betas=(0.9, 0.99)):
    x = torch.tensor(START, dtype=torch.float64)
    m = torch.zeros_like(x)
    for gradient in GRADIENTS:
        g = torch.tensor(gradient, dtype=torch.float64)
        x = x * (1 - rate * decay) - rate * (betas[0] * m + (1 - betas[0]) * g).sign()
        m = betas[1] * m + (1 - betas[1]) * g
    return x.tolist()


O = torch.optim
KEEP = {"lr": 0.1, "weight_decay": 0.1}
for name, values in {
    "AdamW": run(lambda p: O.AdamW(p, **KEEP)),
    "Adam": run(lambda p: O.Adam(p, **KEEP)),
    "Sgd": run(lambda p: O.SGD(p, **KEEP)),
    "Sgd momentum": run(lambda p: O.SGD(p, momentum=0.9, **KEEP)),
    "Sgd nesterov": run(lambda p: O.SGD(p, momentum=0.9, nesterov=True, **KEEP)),
    "Lion": lion(),
    "RmsProp": run(lambda p: O.RMSprop(p, **KEEP)),
    "RmsProp momentum": run(lambda p: O.RMSprop(p, momentum=0.9, **KEEP)),
    "AdaGrad": run(lambda p: O.Adagrad(p, eps=1e-8, **KEEP)),
    "Lamb": lamb(),
}.items():
    print(f"{name:18} [{', '.join(f'{v:.7f}' for v in values)}]")
