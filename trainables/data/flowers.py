"""Photographs of flowers: 5 classes (TensorFlow's tf_flowers) or 102 (Nilsback, 2008)."""

from trainables.data.source import Source

FLOWERS = Source(
    name="flowers",
    hub="xiaopch/flower_photos",  # one split of 3,670 photographs
    shape=(3, 128, 128),
    classes=("daisy", "dandelion", "roses", "sunflowers", "tulips"),
    photos=True,
)

FLOWERS102 = Source(
    name="flowers102",
    hub="dpdl-benchmark/oxford_flowers102",  # the official splits: 1,020, 1,020 and 6,149
    shape=(3, 128, 128),
    classes=tuple(
        """
        pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold,
        tiger lily, moon orchid, bird of paradise, monkshood, globe thistle, snapdragon,
        colt's foot, king protea, spear thistle, yellow iris, globe-flower, purple coneflower,
        peruvian lily, balloon flower, giant white arum lily, fire lily, pincushion flower,
        fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers,
        stemless gentian, artichoke, sweet william, carnation, garden phlox, love in the mist,
        mexican aster, alpine sea holly, ruby-lipped cattleya, cape flower, great masterwort,
        siam tulip, lenten rose, barbeton daisy, daffodil, sword lily, poinsettia,
        bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, common dandelion,
        petunia, wild pansy, primula, sunflower, pelargonium, bishop of llandaff, gaura,
        geranium, orange dahlia, pink-yellow dahlia?, cautleya spicata, japanese anemone,
        black-eyed susan, silverbush, californian poppy, osteospermum, spring crocus,
        bearded iris, windflower, tree poppy, gazania, azalea, water lily, rose, thorn apple,
        morning glory, passion flower, lotus, toad lily, anthurium, frangipani, clematis,
        hibiscus, columbine, desert-rose, tree mallow, magnolia, cyclamen, watercress,
        canna lily, hippeastrum, bee balm, ball moss, foxglove, bougainvillea, camellia, mallow,
        mexican petunia, bromelia, blanket flower, trumpet creeper, blackberry lily
        """.replace("\n        ", " ")
        .strip()
        .split(", ")
    ),
    photos=True,
)

FLOWER_SOURCES = {source.name: source for source in (FLOWERS, FLOWERS102)}
