"""CIFAR-10 (Krizhevsky, 2009): 60,000 color images of 32 x 32 pixels in ten classes."""

from trainables.data.source import Source

CIFAR10 = Source(
    name="cifar10",
    hub="uoft-cs/cifar10",
    hub_config="plain_text",
    shape=(3, 32, 32),
    classes=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    image=("img", "image"),
)
