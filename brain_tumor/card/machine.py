"""What the run ran on, and what it cost."""

from brain_tumor.card.facts import NOTHING, Facts, number
from brain_tumor.layout.blocks import Block, Code, Paragraph, Section, pairs

PACKAGES = (
    "brain-tumor",
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "scikit-learn",
    "albumentations",
    "opencv-python-headless",
    "pillow",
    "mlflow",
    "hydra-core",
)
COSTS = {
    "cost/train_seconds": ("training, seconds", "{:,.1f}"),
    "cost/images_per_second": ("images a second in the last phase, median of its epochs", "{:,.1f}"),
    "cost/peak_memory_mib": ("peak memory of the process, MiB", "{:,.0f}"),
    "cost/inference_ms": ("an answer, ms an image in batches of 32", "{:,.2f}"),
    "cost/parameters": ("parameters of the model", "{:,.0f}"),
}


def environment(facts: Facts) -> Section:
    if not facts.packages:
        return Section("Environment", (Paragraph("Open: the run's list of packages cannot be read."),))
    known = {name.lower(): (name, version) for name, version in facts.packages.items()}
    rows = [("Python", facts.python or "open: the model's file does not say")]
    rows += [known[name] for name in PACKAGES if name in known]
    more = Paragraph(f"All {len(facts.packages)} packages: environment/requirements.txt of the run.")
    return Section("Environment", (pairs(rows), more))


def cost(facts: Facts) -> Section:
    metrics = facts.run.metrics
    rows = [("machine", facts.run.tags.get("hardware", "open: the run names none"))]
    rows.append(("epochs", str(len(facts.epochs)) if facts.epochs else NOTHING))
    rows += [(title, form.format(metrics[name])) for name, (title, form) in COSTS.items() if name in metrics]
    rows += [
        (name, number(metrics[name])) for name in sorted(metrics) if name.startswith("cost/") and name not in COSTS
    ]
    return Section("Cost", (pairs(rows),))


def source(facts: Facts) -> Section:
    """Where all of it comes from, and how to make it anew."""
    run = facts.run.run_id
    blocks: list[Block] = [
        Paragraph(
            "This card is generated from the run, and again from it and its evaluations whenever evaluate measures the "
            "model. Nothing in it is written by hand; what the run does not hold is called open."
        ),
        *(Paragraph(text) for text in facts.unread),
        Code(f"python -m brain_tumor.evaluate model_uri=runs:/{run}/model robustness=true"),
    ]
    return Section("Source", tuple(blocks))
