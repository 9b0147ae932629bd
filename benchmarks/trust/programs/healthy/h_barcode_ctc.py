"""A small convolutional net reads out a noisy pulse train (a bar code scanner) with CTC: digits without their timing.

Near: target-leak and padding alarms (targets ride along with the inputs' lengths), a loss that starts very high; CTC needs
log-probabilities, which the model's last log_softmax rightly gives."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("loss-input", "padding-leak", "batch-mixing", "label-misaligned", "wrong-loss")

SYMBOLS, CODE = 6, 8  # symbols 1..6 (0 is the blank), each a pattern of CODE chips
STEPS = 96
PATTERN = torch.tensor(
    [[1, 0, 0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0, 1, 0],
     [1, 1, 1, 0, 0, 0, 1, 0], [1, 0, 1, 0, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0, 0, 0]], dtype=torch.float32)  # fmt: skip


class Scans(Dataset):
    def __init__(self, count, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(count):
            length = int(torch.randint(3, 8, (), generator=g))
            code = torch.randint(1, SYMBOLS + 1, (length,), generator=g)
            signal, at = torch.zeros(STEPS), int(torch.randint(0, 6, (), generator=g))
            for symbol in code:
                signal[at : at + CODE] = PATTERN[symbol - 1]
                at += CODE + int(torch.randint(1, 5, (), generator=g))
            self.rows.append((signal + 0.15 * torch.randn(STEPS, generator=g), code))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row]


def collate(rows):
    signals, codes = zip(*rows, strict=True)
    lengths = torch.tensor([len(code) for code in codes])
    return torch.stack(signals)[:, None], (nn.utils.rnn.pad_sequence(codes, batch_first=True), lengths)


class Reader(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, width, 9, padding=4), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, width, 5, stride=2, padding=2), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, SYMBOLS + 1, 1),
        )  # fmt: skip

    def forward(self, signal):
        return self.body(signal).permute(2, 0, 1).log_softmax(-1)  # (T, N, C), as CTC wants them


def ctc(log_probs, targets):
    codes, lengths = targets
    steps = torch.full((log_probs.shape[1],), log_probs.shape[0])
    return nn.functional.ctc_loss(log_probs, codes, steps, lengths)


def read(log_probs):
    """Greedy: repeats merged, blanks dropped."""
    best = log_probs.argmax(-1).T
    return [torch.unique_consecutive(row)[torch.unique_consecutive(row) > 0] for row in best]


def exact(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for signals, (codes, lengths) in loader:
            for found, code, length in zip(read(model(signals)), codes, lengths, strict=True):
                right += int(torch.equal(found, code[:length]))
                total += 1
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": ctc,
        "train": DataLoader(Scans(900, 1), batch_size=32, shuffle=True, collate_fn=collate,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(Scans(200, 2), batch_size=100, collate_fn=collate),
        "optimizer": optimizer,
        "evaluate": exact,
        "epochs": 12,
    }  # fmt: skip


def truth(model, seed=0):
    return exact(model, DataLoader(Scans(400, 3), batch_size=200, collate_fn=collate))


def fixed():
    return build()
