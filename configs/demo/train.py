"""Trains a small text classifier on data.csv and measures it on messages it has never seen.

Each feature of a message has a learned vector; their mean goes through a softmax layer. Plain Python, no packages.
"""

import csv
import json
import math
import random

EPOCHS = 40
SIZE = 48
LEARNING_RATE = 0.4
SEED = 1


def features(text):
    """The words of a message."""
    return text.split()


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [(row["topic"], row["message"]) for row in csv.DictReader(file)]


def split(rows):
    """60 % to learn from, 20 % to make choices by, 20 % for the final figure."""
    rows = rows[:]
    random.Random(SEED).shuffle(rows)
    first, second = len(rows) * 6 // 10, len(rows) * 8 // 10
    return rows[:first], rows[first:second], rows[second:]


class Classifier:
    """A vector for each feature, and a softmax layer over their mean."""

    def __init__(self, rows):
        draw = random.Random(SEED)
        self.labels = sorted({label for label, _ in rows})
        names = sorted({name for _, text in rows for name in features(text)})
        self.vectors = {name: [draw.uniform(-0.1, 0.1) for _ in range(SIZE)] for name in names}
        self.weights = [[0.0] * SIZE for _ in self.labels]

    def forward(self, text):
        known = [self.vectors[name] for name in features(text) if name in self.vectors]
        mean = [sum(column) / len(known) for column in zip(*known)] if known else [0.0] * SIZE
        scores = [sum(w * x for w, x in zip(row, mean)) for row in self.weights]
        top = max(scores)
        exps = [math.exp(score - top) for score in scores]
        total = sum(exps)
        return known, mean, [e / total for e in exps]

    def learn(self, label, text, rate):
        """One step of gradient descent on one message; returns its loss before the step."""
        known, mean, probabilities = self.forward(text)
        target = self.labels.index(label)
        back = [0.0] * SIZE
        for index, row in enumerate(self.weights):
            error = probabilities[index] - (index == target)
            for i in range(SIZE):
                back[i] += error * row[i]
                row[i] -= rate * error * mean[i]
        for vector in known:
            for i in range(SIZE):
                vector[i] -= rate * back[i] / len(known)
        return -math.log(max(probabilities[target], 1e-12))

    def predict(self, text):
        probabilities = self.forward(text)[2]
        return self.labels[probabilities.index(max(probabilities))]


def train(model, rows):
    rows = rows[:]
    order = random.Random(SEED)
    for epoch in range(1, EPOCHS + 1):
        order.shuffle(rows)
        rate = LEARNING_RATE * (1 - (epoch - 1) / EPOCHS)
        loss = sum(model.learn(label, text, rate) for label, text in rows) / len(rows)
        print({"loss": round(loss, 4), "epoch": epoch}, flush=True)


def accuracy(model, rows):
    return sum(model.predict(text) == label for label, text in rows) / len(rows)


def main():
    training, validation, test = split(read_rows("data.csv"))
    model = Classifier(training)
    print(f"rows: {len(training)} train, {len(validation)} validation, {len(test)} test", flush=True)
    print(f"features: {len(model.vectors)}, epochs: {EPOCHS}", flush=True)
    train(model, training)
    wrong = [(text, label, model.predict(text)) for label, text in validation if model.predict(text) != label]
    for text, label, guess in wrong[:3]:
        print(f"mistake: {text!r} is {label}, predicted {guess}")
    figures = {"validation_accuracy": accuracy(model, validation), "accuracy": accuracy(model, test)}
    with open("metrics.json", "w", encoding="utf-8") as file:
        json.dump(figures, file)
    print(f"validation_accuracy={figures['validation_accuracy']:.4f}")
    print(f"accuracy={figures['accuracy']:.4f}")


if __name__ == "__main__":
    main()
