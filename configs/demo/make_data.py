"""Makes data.csv: invented messages from the help channel of a machine-learning team, each with its topic.

    python make_data.py > data.csv

Every message is put together from the phrases below and then typed the way people type in a hurry: letters swapped,
dropped or doubled, words shortened. The same seed gives the same file. Released under CC0 1.0, like the data.
"""

import csv
import random
import sys

SEED = 11
ROWS_PER_TOPIC = 100

TOPICS = {
    "data": (
        "the {loader} skips rows with {odd} {field}",
        "{field} are {odd} in half of the {split} file",
        "how do we split the {dataset} by {field}",
        "the {dataset} has duplicates between {split} and test",
        "reading the {dataset} takes longer than an {step}",
        "labels in the {split} file look {odd}",
        "can someone repair the {odd} {field} in our {dataset}",
        "tokenizing the {dataset} gives {odd} {field}",
        "where is the {split} part of the new {dataset}",
        "{field} differ after shuffling the {dataset}",
        "two annotators disagree on a third of the {field}",
        "is it fine to drop rows whose {field} are {odd}",
        "the {dataset} was cut off during the download",
        "who cleaned the {split} file last week",
        "classes in the {dataset} are not balanced",
        "need a bigger sample of the {dataset} with {field}",
        "encoding of the {field} is {odd} on windows",
        "are there private names in the {dataset}",
    ),
    "memory": (
        "{job} {dies} with out of memory on the {gpu}",
        "usage on the {gpu} grows after every {step}",
        "what batch size fits on one {gpu}",
        "{job} gets killed when the {model} is loaded",
        "checkpointing did not lower the usage of the {model}",
        "there is room left on the {gpu} but the {model} does not fit",
        "the {loader} leaks until the {gpu} node is full",
        "how many gigabytes does the optimizer of the {model} take",
        "allocation failed on the {gpu} in the first {step}",
        "swap is full while the {loader} caches the {dataset}",
        "can the {model} be offloaded to the cpu",
        "fragmentation on the {gpu} after one {step}",
        "will the {model} with long sequences fit on one {gpu}",
        "ram of the node is full before the first {step}",
        "which precision halves the size of the {model}",
        "cache of the {gpu} is never released after {split}",
        "the {job} needs more space than one {gpu} has",
        "peak of the {model} is twice of what was estimated",
    ),
    "training": (
        "loss of the {model} is {odd} after one {step}",
        "the {model} does not learn, loss stays flat",
        "which learning rate works for the {model}",
        "gradients of the {model} explode in the second {step}",
        "{split} loss rises while the other one falls",
        "does warmup help when the {model} is small",
        "accuracy on {split} drops with the new scheduler",
        "{job} resumes but the loss jumps at the first {step}",
        "how many epochs for a {model} on this {dataset}",
        "the {model} overfits the {dataset} after one {step}",
        "should dropout be higher for the {model}",
        "the {model} forgets what it knew before finetuning",
        "two seeds of the same {job} end far apart",
        "is weight decay useful for the {model}",
        "the {model} predicts one class only",
        "reward goes up but answers on {split} get worse",
        "when should the {job} stop early",
        "freezing layers of the {model} made {split} worse",
    ),
    "install": (
        "{package} cannot be imported on the {gpu} machine",
        "version conflict between {package} and {other}",
        "the wheel of {package} fails to build",
        "which {other} goes with {package}",
        "pip cannot resolve {package} for our {job}",
        "after the upgrade {package} wants another {other}",
        "no module named {package} when the {job} starts",
        "how do we pin {package} in the environment",
        "{other} breaks as soon as {package} is there",
        "a compiler is missing for {package} on the {gpu} image",
        "lock file and {package} disagree",
        "{package} is found on my laptop but not on the {gpu} node",
        "the docker image has an old {other}",
        "can {package} be used without {other}",
        "setting up {package} takes an hour on every node",
        "two environments with different {other} on one node",
        "{package} was compiled for another {gpu}",
        "who maintains the image with {package}",
    ),
    "serving": (
        "the endpoint of the {model} answers too slowly",
        "how do we put the {model} behind an endpoint",
        "requests to the {model} time out under load",
        "latency of the {model} doubled on the {gpu}",
        "the server {dies} when two requests come at once",
        "can we serve the quantized {model} from one {gpu}",
        "streamed answers of the {model} stop in the middle",
        "the api of the {model} returns {odd} answers",
        "throughput drops when requests are batched",
        "how to roll back the {model} that went live today",
        "customers see {odd} answers since the release",
        "autoscaling starts a second {gpu} too late",
        "cold start of the {model} takes two minutes",
        "health check of the {model} fails after deploying",
        "how many users can one {gpu} handle with the {model}",
        "is there a rate limit in front of the {model}",
        "the new {model} is live but the old one still answers",
        "costs of hosting the {model} on a {gpu}",
    ),
}

WORDS = {
    "loader": ("loader", "dataloader", "data loader", "reader"),
    "odd": ("empty", "broken", "missing", "nan", "wrong", "weird"),
    "field": ("labels", "columns", "timestamps", "tokens", "texts", "ids"),
    "split": ("train", "validation", "eval", "training"),
    "dataset": ("dataset", "data", "corpus", "parquet files", "csv", "samples"),
    "job": ("job", "run", "script", "notebook", "training"),
    "dies": ("dies", "crashes", "crashed", "fails", "stops"),
    "gpu": ("gpu", "a10g", "card", "t4", "gpus"),
    "step": ("step", "epoch", "batch", "eval step"),
    "model": ("model", "classifier", "adapter", "encoder", "7b model", "reranker", "finetuned model"),
    "package": ("torch", "flash attention", "transformers", "tokenizers", "triton", "bitsandbytes"),
    "other": ("numpy", "python", "cuda", "driver", "datasets"),
}

# Said about anything, so these words tell little about the topic.
CONTEXT = (
    "we train with torch on two a10g cards",
    "the model is a 7b adapter",
    "the dataset is on the shared disk",
    "same {job} worked last week",
    "happens on every node",
    "batch size is 8",
    "loss looks fine otherwise",
    "cuda and python are up to date",
    "it is blocking the release",
    "the endpoint team has seen it too",
    "memory seems fine",
    "nothing in the logs",
    "on the new cluster",
    "with the validation data only",
)
OPENINGS = ("", "", "", "hi, ", "hey all, ", "question: ", "urgent: ", "quick one, ", "again: ")
ENDINGS = ("", "", "", " please", " any idea?", " thanks", "?")
SHORT = {"please": "pls", "the ": "teh ", "with": "w/", "model": "mdl", "does not": "doesnt", "validation": "val"}


def message(pick: random.Random, topic: str) -> str:
    text = pick.choice(TOPICS[topic])
    if pick.random() < 0.6:
        text = f"{text}, {pick.choice(CONTEXT)}" if pick.random() < 0.7 else f"{pick.choice(CONTEXT)}, {text}"
    for name, choices in WORDS.items():
        text = text.replace("{" + name + "}", pick.choice(choices))
    return hurried(pick, pick.choice(OPENINGS) + text + pick.choice(ENDINGS))


def hurried(pick: random.Random, text: str) -> str:
    for long, short in SHORT.items():
        if pick.random() < 0.1:
            text = text.replace(long, short)
    text = " ".join(mistyped(pick, word) if pick.random() < 0.3 else word for word in text.split())
    return text.capitalize() if pick.random() < 0.3 else text


def mistyped(pick: random.Random, word: str) -> str:
    if len(word) < 4:
        return word
    at = pick.randrange(1, len(word) - 1)
    changes = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word.upper(),
    )
    return pick.choice(changes)


def main() -> None:
    pick = random.Random(SEED)
    rows = []
    for topic in TOPICS:
        texts: list[str] = []
        while len(texts) < ROWS_PER_TOPIC:
            text = message(pick, topic)
            if text not in texts:
                texts.append(text)
        rows += [(topic, text) for text in texts]
    pick.shuffle(rows)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("topic", "message"))
    writer.writerows(rows)


if __name__ == "__main__":
    main()
