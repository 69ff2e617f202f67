"""MNIST (LeCun, Cortes and Burges, 1998): 70,000 handwritten digits."""

from trainables.data.source import Source

MNIST = Source(
    name="mnist",
    hub="ylecun/mnist",
    hub_config="mnist",
    shape=(1, 28, 28),
    classes=tuple("0123456789"),
)
